package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/cli"
	"sluice/internal/manifest"
	"sluice/internal/pki"
)

// TokenIn is the token in the file that a variable names.
func (w *World) TokenIn(variable string) string {
	w.T.Helper()
	content, err := os.ReadFile(env(w.T, variable))
	require.NoError(w.T, err)
	return strings.TrimSpace(string(content))
}

// sluice is a command of the cli with somebody's token.
func (w *World) sluice(ctx context.Context, out, errors io.Writer, tokenVariable string, args ...string) int {
	who := []string{"--server", w.server, "--tenant", w.Tenant, "--token-file", env(w.T, tokenVariable)}
	return cli.Main(ctx, append(who, args...), out, errors)
}

// OpenUI is `sluice job ui`, until the story's end; it gives the address printed.
func (w *World) OpenUI(tokenVariable string) string {
	w.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	var said bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- w.sluice(ctx, in, &said, tokenVariable, "job", "ui", w.Name)
		_ = in.Close()
	}()
	w.T.Cleanup(func() { cancel(); <-ended })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		w.T.Fatalf("no UI: %v", err) // what it said may still be written
	}
	return strings.TrimSpace(line)
}

// rpcAddress is what a TaskManager is called by.
var rpcAddress = regexp.MustCompile(`"path":"pekko\.ssl\.tcp://flink@([^/"]+)/`)

// TaskManagerRPC is the host and port of the only TaskManager's RPC, by its JobManager.
func (w *World) TaskManagerRPC() string {
	w.T.Helper()
	content, code, said := w.Rest("SLUICE_TOKEN_FILE", "/taskmanagers")
	require.Zero(w.T, code, said)
	found := rpcAddress.FindAllSubmatch(content, -1)
	require.Len(w.T, found, 1, string(content))
	return string(found[0][1])
}

// Rest is `sluice job rest`; what it said where its exit code is not 0.
func (w *World) Rest(tokenVariable, path string) (content []byte, code int, said string) {
	w.T.Helper()
	var out, errors bytes.Buffer
	code = w.sluice(context.Background(), &out, &errors, tokenVariable, "job", "rest", w.Name, path)
	return out.Bytes(), code, errors.String()
}

// Browse gets a page as a browser does.
func (w *World) Browse(address string) Answer {
	w.T.Helper()
	response, err := http.Get(address) //nolint:noctx // a story's own listener
	require.NoError(w.T, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.T, err)
	return Answer{response.StatusCode, response.Header, body}
}

// AskAgent calls an agent's own port as one of the platform's processes; 0 where
// it lets that one not in.
func (w *World) AskAgent(generation int, as pki.Identity, path string) (status int) {
	w.T.Helper()
	doors, err := w.Authority().Client(as)
	require.NoError(w.T, err)
	doors.ServerName = agentapi.Host(w.identity(), generation)
	address := fmt.Sprintf("https://%s:%d%s", w.PodIP(generation, manifest.Client), agentapi.Port, path)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, http.NoBody)
	require.NoError(w.T, err)
	request.Header.Set(agentapi.JobHeader, w.UID())
	response, err := agentapi.NewClient(doors).HTTP.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
