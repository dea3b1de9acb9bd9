package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/hdfs"
	"sluice/internal/store"
)

// Tokens of the tests.
const (
	viewerToken   = "viewer-of-shop"
	operatorToken = "operator-of-shop"
	adminToken    = "admin-of-all"
)

//nolint:gosec // a form, no credentials
const tokensFile = `tokens:
- {sha256: %s, subject: vera, tenant: shop, role: viewer}
- {sha256: %s, subject: otto, tenant: shop, role: operator}
- {sha256: %s, subject: anna, tenant: "*", role: admin}
`

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// files is an artifact store in memory that keeps nothing but digests.
type files struct {
	mutex sync.Mutex
	known map[string]int64
	fail  error
}

func (f *files) Put(_ context.Context, _ string, r io.Reader, options hdfs.PutOptions) (hdfs.Stored, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		return hdfs.Stored{}, failure.Wrap(failure.Invalid, err, "the content could not be read to its end")
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if options.Expect != "" && options.Expect != digest {
		return hdfs.Stored{}, failure.New(failure.Digest, "the content's digest is %s", digest)
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	_, existed := f.known[digest]
	f.known[digest] = n
	return hdfs.Stored{Digest: digest, Bytes: n, Existed: existed}, f.fail
}

func (f *files) Stat(_ context.Context, _, digest string) (int64, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	n, ok := f.known[digest]
	if !ok {
		return 0, failure.New(failure.NotFound, "no")
	}
	return n, nil
}

type world struct {
	t     *testing.T
	api   *API
	files *files
	log   *strings.Builder
}

// assemble makes an API of the parts given; a database that is away when none is.
func assemble(t *testing.T, records *store.Store, temporal Temporal) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	content := fmt.Sprintf(tokensFile, hashed(viewerToken), hashed(operatorToken), hashed(adminToken))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	if records == nil {
		var err error
		records, err = store.Open("sluice:x@tcp(127.0.0.1:1)/sluice", store.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = records.Close() })
	}
	w := &world{t: t, files: &files{known: map[string]int64{}}, log: &strings.Builder{}}
	a, err := Assemble(config.API{
		TokensFile: path, UIURL: "http://ui:8233/", Temporal: config.Temporal{Namespace: "default"},
		Tenants: []config.Tenant{{Name: "shop", Namespace: "shop"}, {Name: "bank", Namespace: "bank"}},
		Engines: []config.Engine{{Name: "flink", Version: "1.20.5"}},
	}, Parts{Store: records, Temporal: temporal, Artifacts: w.files, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	w.api = a
	return w
}

// answer of a request.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (w *world) do(token, method, path, body string, headers ...string) answer {
	w.t.Helper()
	request := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.api.web.ServeHTTP(recorder, request)
	return answer{recorder, w.t}
}

// problem checks the shape that every error has.
func (a answer) problem(code failure.Code) problem.Problem {
	a.t.Helper()
	var p problem.Problem
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &p), a.Body.String())
	require.Equal(a.t, problem.TypePrefix+string(code), p.Type, a.Body.String())
	require.Equal(a.t, problem.ContentType, a.Header().Get("Content-Type"))
	require.Equal(a.t, p.Status, a.Code)
	require.Equal(a.t, problem.KindOf(code).Status, a.Code)
	require.NotEmpty(a.t, p.Title)
	require.NotEmpty(a.t, p.Instance)
	require.NotEmpty(a.t, a.Header().Get("X-Request-Id"))
	return p
}

func fieldNames(p problem.Problem) []string {
	names := make([]string, len(p.Errors))
	for i, f := range p.Errors {
		names[i] = f.Field
	}
	return names
}

func (f *files) Sweep(context.Context, time.Duration) (int, error) { return 0, nil }
