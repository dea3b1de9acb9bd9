package hostile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"sluice/api"
	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/store"
)

// shelf is an artifact store in memory; written counts what would have stayed.
type shelf struct {
	mutex   sync.Mutex
	written int
}

var theArtifact = digest("the artifact")

func (s *shelf) Put(_ context.Context, _ string, r io.Reader, options hdfs.PutOptions) (hdfs.Stored, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return hdfs.Stored{}, failure.Wrap(failure.Invalid, err, "the content could not be read to its end").WithNext("send it again")
	}
	got := digest(string(content))
	if options.Expect != "" && options.Expect != got {
		return hdfs.Stored{}, failure.New(failure.Digest, "the content's digest is %s", got).WithNext("send it again")
	}
	if err := options.Check(bytes.NewReader(content), int64(len(content))); err != nil {
		return hdfs.Stored{}, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.written++
	return hdfs.Stored{Digest: got, Bytes: int64(len(content))}, nil
}

func (s *shelf) Stat(_ context.Context, _, digest string) (int64, error) {
	if digest == theArtifact {
		return 1, nil
	}
	return 0, failure.New(failure.NotFound, "no")
}

func (s *shelf) Sweep(context.Context, time.Duration) (int, error) { return 0, nil }

// local is an api in this process; its record store and its Temporal are away.
func local(t *testing.T) (Server, *shelf) {
	t.Helper()
	var tokens strings.Builder
	tokens.WriteString("tokens:\n")
	server := Server{Tokens: map[Caller]string{}, Fill: strings.NewReplacer(
		"{tenant}", "shop", "{job}", "orders", "{operation}", "01M83GB2NKMWNMPRPQ18S0919A", "{artifact}", theArtifact, "{key}", "k")}
	for _, who := range []struct {
		caller       Caller
		tenant, role string
	}{{Operator, "shop", "operator"}, {Viewer, "shop", "viewer"}, {Admin, "*", "admin"}} {
		token := "token-of-" + who.role
		server.Tokens[who.caller] = token
		sum := sha256.Sum256([]byte(token))
		fmt.Fprintf(&tokens, "- {sha256: %s, subject: %s, tenant: %q, role: %s}\n", hex.EncodeToString(sum[:]), who.role, who.tenant, who.role)
	}
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	require.NoError(t, os.WriteFile(file, []byte(tokens.String()), 0o600))
	records, err := store.Open("sluice:x@tcp(127.0.0.1:1)/sluice", store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = records.Close() })
	kept := &shelf{}
	a, err := api.Assemble(config.API{
		TokensFile: file, Temporal: config.Temporal{Namespace: "default"},
		Tenants: []config.Tenant{{Name: "shop", Namespace: "shop"}, {Name: "bank", Namespace: "bank"}},
		Engines: []config.Engine{{Name: "flink", Version: "1.20.5"}},
	}, api.Parts{Store: records, Artifacts: kept, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	web := httptest.NewUnstartedServer(a.Handler())
	web.Config.MaxHeaderBytes = 64 << 10 // as api.Run's
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	web.Start()
	t.Cleanup(web.Close)
	server.URL = web.URL
	return server, kept
}

func TestTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table() {
		require.NotEmpty(t, r.Name)
		require.False(t, seen[r.Name+r.Path], "%s is there twice", r.Name)
		seen[r.Name+r.Path] = true
		require.True(t, r.Code != "" || r.Plain != 0, r.Name)
	}
	require.GreaterOrEqual(t, len(seen), 60)
}

// What needs no record store to be refused is refused without one, by one that
// can't be reached: nothing was asked of it, let alone written.
func TestHostileRequestsAreRefused(t *testing.T) {
	server, kept := local(t)
	for _, r := range Table() {
		if r.Deep {
			continue // testsuite/scenario sends it
		}
		t.Run(r.Name, func(t *testing.T) {
			answer, err := server.Send(t.Context(), r)
			require.NoError(t, err)
			require.NoError(t, Judge(r, answer))
		})
	}
	require.Zero(t, kept.written)
}
