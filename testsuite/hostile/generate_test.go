package hostile

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

var words = map[string][]string{
	"tenant": {"shop"}, "job": {"orders"}, "operation": {"01M83GB2NKMWNMPRPQ18S0919A"}, "digest": {theArtifact}, "profile": {"ordinary"}, "number": {"1"},
	"artifact": {theArtifact}, "site": {"dc1"}, "name": {"flink"}, "version": {"1.20.5"}, "entryClass": {"io.sluice.jobs.Counter"}, "cpu": {"1", "500m"},
	"kind": {"start", "stop", "upgrade", "savepoint", "restart", "rollback"}, "strategy": {"warm", "cold"}, "replay": {"ask"}, "option": {"a.b", "execution.checkpointing.interval"}, "value": {"1", "5 s"},
	"Idempotency-Key": {"k-1"}, "limit": {"10"}, "wait": {"0s"},
}

// seed is SLUICE_SEED, else the same each time: a unit test that fails now and then
// helps nobody. The scenario on the real servers takes another each time.
func seed(t testing.TB) uint64 {
	text := os.Getenv("SLUICE_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "SLUICE_SEED")
	return n
}

func document(t testing.TB, server Server) *openapi3.T {
	response, err := http.Get(server.URL + "/v1/openapi.yaml") //nolint:noctx // a test's own server
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	loaded, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return loaded
}

func TestNoGeneratedRequestGetsAServersError(t *testing.T) {
	server, _ := local(t)
	described, client := document(t, server), &http.Client{}
	first := seed(t)
	t.Logf("seed %d (SLUICE_SEED)", first)
	g := NewGenerator(described, first, words)
	statuses := map[int]int{}
	for i := range 3000 {
		r := g.Next()
		answer, err := server.Do(t.Context(), client, r)
		require.NoError(t, err, "%d of seed %d: %s", i, first, r)
		require.NoError(t, JudgeGenerated(t.Context(), described, r, answer, true), "%d of seed %d: %s", i, first, r)
		statuses[answer.Status]++
	}
	t.Log(statuses)
	require.Greater(t, statuses[http.StatusServiceUnavailable], 100, "valid requests that come as far as the record store")
	require.Greater(t, statuses[http.StatusUnprocessableEntity], 100)
}

func TestTheSameSeedGivesTheSameRequests(t *testing.T) {
	server, _ := local(t)
	described := document(t, server)
	one, other := NewGenerator(described, 7, words), NewGenerator(described, 7, words)
	for range 300 {
		require.Equal(t, one.Next().String(), other.Next().String())
	}
}

// FuzzAPI goes on where the test above ends: go test -fuzz FuzzAPI ./testsuite/hostile
func FuzzAPI(f *testing.F) {
	for n := range uint64(20) {
		f.Add(n + 1000)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		server, _ := local(t)
		described := document(t, server)
		r := NewGenerator(described, seed, words).Next()
		answer, err := server.Do(t.Context(), &http.Client{}, r)
		require.NoError(t, err, r)
		require.NoError(t, JudgeGenerated(t.Context(), described, r, answer, true), r)
	})
}
