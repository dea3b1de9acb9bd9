package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// server answers with canned values and keeps what it was asked.
type server struct {
	*httptest.Server
	mux   *http.ServeMux
	asked []string
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{mux: http.NewServeMux()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
		if r.Header.Get("Authorization") != "Bearer t0ken" && r.URL.Path != "/v1/version" {
			_ = problem.Write(w, failure.New(failure.Unauthorized, "who?"), r.URL.Path)
			return
		}
		s.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	t.Setenv("SLUICE_SERVER", s.URL)
	t.Setenv("SLUICE_TENANT", "shop")
	t.Setenv("SLUICE_TOKEN", "t0ken")
	t.Setenv("SLUICE_TOKEN_FILE", "")
	return s
}

func (s *server) json(pattern string, status int, values ...any) {
	next := 0
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		value := values[min(next, len(values)-1)]
		next++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(value)
	})
}

func (s *server) problem(pattern string, f *failure.Error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { _ = problem.Write(w, f, r.URL.Path) })
}

func sluice(t *testing.T, args ...string) (code int, out, errors string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	s := serve(t)
	for name, c := range map[failure.Code]int{
		failure.Invalid: 2, failure.NoMethod: 2, failure.TooLarge: 2, failure.Digest: 2, failure.Busy: 3, failure.Refused: 3, failure.Conflict: 3,
		failure.NotFound: 4, failure.Forbidden: 4, failure.Unauthorized: 4, failure.Internal: 1,
	} {
		s.problem("GET /v1/tenants/shop/jobs/"+string(name), failure.New(name, "because"))
		code, _, _ := sluice(t, "get", "job", string(name))
		require.Equal(t, c, code, name)
	}
	for _, args := range [][]string{
		{"nonsense"}, {"get", "nonsense"}, {"get", "jobs", "--colour"}, {"get", "jobs", "-o", "xml"}, {"get", "job"}, {"get", "job", "Bad Name"},
		{"op", "upgrade"}, {"apply"}, {"apply", "-f", "/nowhere.yaml"}, {"artifact", "push", "/nowhere.jar"}, {"get", "jobs", "--server", "nonsense"},
		{"get", "jobs", "--tenant", "Bad"}, {"get", "revision", "orders", "zero"}, {"get", "jobs", "--limit", "0"},
		{"get", "operation", ""}, {"get", "profile", ""}, {"get", "job", ""}, {"get", "operations", ""}, {"op", "watch", ""}, {"op", "cancel", ""}, {"artifact", "push", ""},
	} {
		code, _, errors := sluice(t, args...)
		require.Equal(t, exitInvalid, code, args)
		require.NotEmpty(t, errors)
	}
	t.Setenv("SLUICE_TOKEN", "")
	code, _, errors := sluice(t, "get", "jobs")
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errors, "SLUICE_TOKEN")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	code, _, _ = sluice(t, "version", "--server", "http://"+listener.Addr().String())
	require.Equal(t, exitUnreachable, code)
}

func TestProblemsListTheirFields(t *testing.T) {
	s := serve(t)
	s.problem("GET /v1/tenants/shop/jobs", failure.New(failure.Invalid, "2 fields\x1b[31m").WithNext("mend them").
		WithFields(failure.Field{Name: "/spec/engine", Reason: "is not offered", Next: "choose flink"}))
	code, out, errors := sluice(t, "get", "jobs")
	require.Equal(t, exitInvalid, code)
	require.Empty(t, out)
	require.Equal(t, "error (invalid): 2 fields\uFFFD[31m\n  /spec/engine: is not offered\n      → choose flink\n→ mend them\n", errors)
}

func TestTables(t *testing.T) {
	s := serve(t)
	list := apiclient.JobList{Items: []apiclient.Job{{Name: "orders", Site: "dc1", NewestRevision: 2, Current: apiclient.JobState{State: "new"}}}, Next: "/v1/tenants/shop/jobs?after=orders"}
	s.json("GET /v1/tenants/shop/jobs", http.StatusOK, list)
	_, out, errors := sluice(t, "get", "jobs", "--limit", "1")
	require.Equal(t, []string{"NAME SITE STATE REVISION NEWEST PROFILE GENERATION EPOCH", "orders dc1 new - 2 - - -"}, lines(out))
	require.Contains(t, errors, "--limit")
	_, out, _ = sluice(t, "get", "jobs", "--limit", "1", "-o", "json")
	var back apiclient.JobList
	require.NoError(t, json.Unmarshal([]byte(out), &back))
	require.Equal(t, list, back)
	_, out, _ = sluice(t, "get", "jobs", "--limit", "1", "-o", "yaml")
	require.Contains(t, out, "name: orders")
}

// lines squeezes the blanks that align columns.
func lines(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		found = append(found, strings.Join(strings.Fields(line), " "))
	}
	return found
}

func operation(phase string, version int64, steps ...apiclient.Step) apiclient.Operation {
	return apiclient.Operation{
		Operation: "01OP", Kind: "upgrade", Phase: phase, Final: phase == "committed" || phase == "failed", Job: apiclient.JobRef{Tenant: "shop", Name: "orders"},
		Links:    apiclient.OperationLinks{TemporalUI: "http://ui/run"},
		Progress: apiclient.Progress{Operation: "01OP", Phase: phase, Version: version, Steps: steps},
	}
}

func TestWatchPrintsEachStepOnceAndTheEnd(t *testing.T) {
	s := serve(t)
	done := apiclient.Step{Name: "plan", State: "done", DurationMs: 340, Detail: "warm"}
	running := operation("preparing", 2, done, apiclient.Step{Name: "prepare", State: "running"})
	running.Progress.WaitingFor = "3 pods"
	end := operation("committed", 9, done, apiclient.Step{Name: "prepare", State: "done", DurationMs: 8200})
	end.Progress.DowntimeMs, end.Progress.Savepoint = 740, "hdfs://nn/sp"
	s.json("GET /v1/tenants/shop/operations/01OP", http.StatusOK, running, running, end)
	code, out, _ := sluice(t, "op", "watch", "01OP")
	require.Equal(t, exitOK, code)
	require.Equal(t, []string{
		"ok plan 340ms warm", "prepare: waits for 3 pods", "ok prepare 8.2s",
		"upgrade shop/orders: committed", "savepoint hdfs://nn/sp", "downtime 740ms", "Temporal http://ui/run",
	}, lines(out))
	require.Contains(t, s.asked[0], "/events", "an older server has none")
	require.Contains(t, s.asked[1], "version=0")
	require.Contains(t, s.asked[2], "version=2")
}

func TestWatchSaysHowItEnded(t *testing.T) {
	for phase, want := range map[string]int{"failed": exitFailed, "waiting": exitWaiting} {
		s := serve(t)
		o := operation(phase, 3)
		o.Progress.Failure = apiclient.Failure{Code: "incompatible", Message: "main threw", Next: "mend the jar"}
		o.Progress.Evidence, o.Progress.WaitingFor = []string{"savepoint complete"}, "a decision"
		s.json("GET /v1/tenants/shop/operations/01OP", http.StatusOK, o)
		code, out, errors := sluice(t, "op", "watch", "01OP", "-o", "json")
		require.Equal(t, want, code)
		require.Contains(t, errors, "main threw")
		require.Contains(t, errors, "mend the jar")
		require.Equal(t, phase == "waiting", strings.Contains(errors, "savepoint complete"))
		var back apiclient.Operation
		require.NoError(t, json.Unmarshal([]byte(out), &back), "only JSON on stdout")
	}
}

func TestStartSendsWhatWasAskedAndRepeatsWithOneKey(t *testing.T) {
	s := serve(t)
	var keys, bodies []string
	s.mux.HandleFunc("POST /v1/tenants/shop/jobs/orders/operations", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		if len(keys) == 1 {
			_ = problem.Write(w, failure.New(failure.Unavailable, "Temporal is away"), r.URL.Path)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(apiclient.Accepted{Operation: "01OP"})
	})
	code, out, _ := sluice(t, "op", "upgrade", "shop/orders", "--revision", "3", "--strategy", "cold", "--soak", "0", "--reason", "fix")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "01OP")
	require.Len(t, keys, 2)
	require.Equal(t, keys[0], keys[1])
	require.JSONEq(t, `{"kind":"upgrade","revision":3,"strategy":"cold","soakSeconds":0,"reason":"fix"}`, bodies[1])

	s.problem("POST /v1/tenants/shop/jobs/busy/operations", failure.New(failure.Busy, "another").With("operation", "01X").WithNext("wait"))
	code, _, errors := sluice(t, "op", "stop", "busy")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errors, "→ wait")
}

func TestDecisions(t *testing.T) {
	s := serve(t)
	s.json("POST /v1/tenants/shop/operations/01OP/cancel", http.StatusAccepted, operation("canceled", 4))
	s.problem("POST /v1/tenants/shop/operations/01OP/retry", failure.New(failure.Refused, "it doesn't wait"))
	code, out, _ := sluice(t, "op", "cancel", "01OP", "--reason", "wrong one")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "canceled")
	code, _, _ = sluice(t, "op", "retry", "01OP")
	require.Equal(t, exitRefused, code)
}

const manifests = `# both kinds
kind: Job
name: orders
site: dc1
spec:
  engine: {name: flink, version: 1.20.5}
  artifact: ./orders.jar
  entryClass: com.example.Orders
---
kind: Profile
name: big
jobManager: {cpu: 500m, memoryMiB: 1024}
taskManager: {cpu: "1", memoryMiB: 1728, replicas: 2, slots: 2}
parallelism: 4
`

func TestApplyPushesLocalArtifacts(t *testing.T) {
	s := serve(t)
	directory := t.TempDir()
	file := filepath.Join(directory, "jobs.yaml")
	require.NoError(t, os.WriteFile(file, []byte(manifests), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "orders.jar"), []byte("jar"), 0o600))
	var pushed, put string
	s.problem("GET /v1/tenants/shop/artifacts/", failure.New(failure.NotFound, "no"))
	s.mux.HandleFunc("POST /v1/tenants/shop/artifacts", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		pushed = string(body)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(apiclient.Artifact{Digest: r.URL.Query().Get("digest"), Bytes: r.ContentLength})
	})
	s.mux.HandleFunc("PUT /v1/tenants/shop/jobs/orders", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		put = string(body)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(apiclient.Job{Tenant: "shop", Name: "orders", Revision: apiclient.Revision{Number: 1}})
	})
	s.json("PUT /v1/tenants/shop/profiles/big", http.StatusOK, apiclient.Profile{Name: "big"})
	code, out, errors := sluice(t, "apply", "-f", file)
	require.Equal(t, exitOK, code, errors)
	require.Equal(t, "jar", pushed)
	require.Contains(t, put, "sha256:")
	require.Equal(t, []string{"job shop/orders: revision 1 created", "profile shop/big: written"}, lines(out))
}

func TestApplyPushesLocalDependencies(t *testing.T) {
	s := serve(t)
	directory := t.TempDir()
	file := filepath.Join(directory, "jobs.yaml")
	depends := strings.Replace(manifests, "entryClass:", "dependencies: [./kafka.jar, "+digestD+"]\n  entryClass:", 1)
	require.NoError(t, os.WriteFile(file, []byte(depends), 0o600))
	for _, jar := range []string{"orders.jar", "kafka.jar"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, jar), []byte(jar), 0o600))
	}
	s.mux.HandleFunc("GET /v1/tenants/shop/artifacts/{digest}", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(apiclient.Artifact{Digest: r.PathValue("digest"), Bytes: 3})
	})
	var put apiclient.JobBody
	s.mux.HandleFunc("PUT /v1/tenants/shop/jobs/orders", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&put)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(apiclient.Job{Tenant: "shop", Name: "orders", Revision: apiclient.Revision{Number: 1}})
	})
	s.json("PUT /v1/tenants/shop/profiles/big", http.StatusOK, apiclient.Profile{Name: "big"})
	code, _, errors := sluice(t, "apply", "-f", file)
	require.Equal(t, exitOK, code, errors)
	sum := sha256.Sum256([]byte("kafka.jar"))
	require.Equal(t, []string{"sha256:" + hex.EncodeToString(sum[:]), digestD}, put.Spec.Dependencies)
}

func TestManifestsAreStrict(t *testing.T) {
	for name, document := range map[string]string{
		"unknown kind":   "kind: Pipeline\nname: x\n",
		"unknown key":    "kind: Job\nname: x\ncolour: red\n",
		"unknown nested": "kind: Job\nname: x\nspec: {colour: red}\n",
		"twice":          "kind: Job\nname: x\nname: y\n",
		"job with size":  "kind: Job\nname: x\nparallelism: 2\n",
		"sized by site":  "kind: Profile\nname: x\nsite: dc1\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseManifest([]byte(document))
			require.Error(t, err)
		})
	}
	m, err := parseManifest([]byte("# nothing\n"))
	require.NoError(t, err)
	require.Empty(t, m.Kind)
}

func TestABadJobIsNotPushed(t *testing.T) {
	s := serve(t)
	file := filepath.Join(t.TempDir(), "jobs.yaml")
	bad := strings.Replace(manifests, "entryClass: com.example.Orders", "entryClass: com.example.Orders\n  options: {rest.port: \"1\"}", 1)
	require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
	code, _, errors := sluice(t, "apply", "-f", file)
	require.Equal(t, exitInvalid, code)
	require.Contains(t, errors, "/spec/options/rest.port")
	require.Empty(t, s.asked)
}

func TestPushSkipsWhatIsThere(t *testing.T) {
	s := serve(t)
	file := filepath.Join(t.TempDir(), "a.jar")
	require.NoError(t, os.WriteFile(file, []byte("jar"), 0o600))
	s.json("GET /v1/tenants/shop/artifacts/", http.StatusOK, apiclient.Artifact{Digest: "sha256:1", Bytes: 3})
	code, out, _ := sluice(t, "artifact", "push", file)
	require.Equal(t, exitOK, code)
	require.Equal(t, "sha256:1\n", out)
	require.Len(t, s.asked, 1)
}

func TestTheTokenStaysOutOfMessages(t *testing.T) {
	serve(t)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("wrong-token\n"), 0o600))
	code, out, errors := sluice(t, "get", "jobs", "--token-file", file)
	require.Equal(t, exitNotFound, code)
	require.NotContains(t, out+errors, "wrong-token")
}

func TestTook(t *testing.T) {
	for ms, want := range map[int64]string{0: "0ms", 340: "340ms", 8249: "8.2s", 725_000: "12m05s", 3_900_000: "1h05m"} {
		require.Equal(t, want, took(ms))
	}
}
