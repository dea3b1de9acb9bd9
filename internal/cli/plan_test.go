package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
)

const digestD = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

// orders is the job of the manifests with its jar's digest: revision 2 is its
// newest, revision 1 runs.
func (s *server) orders(changed bool) {
	spec := apiclient.Spec{
		Engine: apiclient.Engine{Name: "flink", Version: "1.20.5"}, EntryClass: "com.example.Orders",
		Artifact: "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1", // of "/"
	}
	old := spec
	old.Artifact = digestD
	if changed {
		spec.Options = map[string]string{"a.b": "1"}
	}
	s.json("GET /v1/tenants/shop/jobs/orders", http.StatusOK, apiclient.Job{
		Tenant: "shop", Name: "orders", Site: "dc1", NewestRevision: 2, Revision: apiclient.Revision{Number: 2, Spec: spec},
		Current: apiclient.JobState{State: "running", Revision: 1},
	})
	s.json("GET /v1/tenants/shop/jobs/orders/revisions/1", http.StatusOK, apiclient.Revision{Number: 1, Spec: old})
	s.json("GET /v1/tenants/shop/profiles/big", http.StatusOK, apiclient.Profile{
		Name: "big", JobManager: apiclient.Role{CPU: "500m", MemoryMiB: 1024}, Parallelism: 2,
		TaskManager: apiclient.TaskManager{CPU: "1", MemoryMiB: 1728, Replicas: 2, Slots: 2},
	})
}

// manifestFile writes the manifests with a jar beside them.
func manifestFile(t *testing.T, text string) string {
	t.Helper()
	directory := t.TempDir()
	file := filepath.Join(directory, "jobs.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "orders.jar"), []byte("/"), 0o600))
	return file
}

var jobOnly, _, _ = strings.Cut(manifests, "---\n")

func TestDiffShowsFieldsAndSaysItWithItsCode(t *testing.T) {
	s := serve(t)
	s.orders(true)
	file := manifestFile(t, manifests)
	code, out, errors := sluice(t, "diff", "-f", file)
	require.Equal(t, exitFailed, code, errors)
	require.Equal(t, []string{
		"job shop/orders: differs from revision 2, the newest", "- options.a.b 1",
		"job shop/orders: differs from revision 1, which runs", "~ artifact sha256:dddddddddddd… → sha256:8a5edab28263…",
		"profile shop/big: differs", "~ parallelism 2 → 4",
	}, lines(out))
	for _, asked := range s.asked {
		require.True(t, strings.HasPrefix(asked, "GET "), asked)
	}
	code, out, _ = sluice(t, "diff", "-f", file, "-o", "json")
	require.Equal(t, exitFailed, code)
	var found []difference
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Len(t, found, 2)
	require.Equal(t, digestD, found[0].Against[1].Changes[0].From, "whole")

	s = serve(t)
	s.orders(false)
	code, out, _ = sluice(t, "diff", "-f", manifestFile(t, jobOnly))
	require.Equal(t, exitFailed, code, "it is applied, but it doesn't run yet")
	require.Contains(t, out, "does not differ from revision 2, the newest\n")

	s = serve(t)
	s.json("GET /v1/tenants/shop/jobs/orders", http.StatusOK, apiclient.Job{Site: "dc1", Revision: apiclient.Revision{Number: 2, Spec: apiclient.Spec{
		Engine: apiclient.Engine{Name: "flink", Version: "1.20.5"}, EntryClass: "com.example.Orders", Artifact: digestD,
	}}})
	code, out, _ = sluice(t, "diff", "-f", manifestFile(t, strings.Replace(jobOnly, "./orders.jar", digestD, 1)))
	require.Equal(t, exitOK, code)
	require.Equal(t, "job shop/orders: does not differ from revision 2, the newest\n", out)

	s = serve(t)
	s.problem("GET /v1/tenants/shop/jobs/orders", failure.New(failure.NotFound, "no"))
	code, out, _ = sluice(t, "diff", "-f", manifestFile(t, jobOnly))
	require.Equal(t, exitFailed, code)
	require.Equal(t, []string{"job shop/orders: new", "+ site dc1", "+ engine flink 1.20.5", "+ artifact sha256:8a5edab28263…", "+ entryClass com.example.Orders"}, lines(out))
}

func TestDiffNeverCallsAnErrorADifference(t *testing.T) {
	s := serve(t)
	s.problem("GET /v1/tenants/shop/jobs/orders", failure.New(failure.Internal, "a bug"))
	code, _, errors := sluice(t, "diff", "-f", manifestFile(t, jobOnly))
	require.Equal(t, exitInvalid, code)
	require.Contains(t, errors, "bug of ours")
	s.problem("GET /v1/tenants/shop/jobs/gone", failure.New(failure.Forbidden, "no"))
	code, _, _ = sluice(t, "diff", "-f", manifestFile(t, strings.Replace(jobOnly, "name: orders", "name: gone", 1)))
	require.Equal(t, exitNotFound, code)
	code, _, _ = sluice(t, "diff")
	require.Equal(t, exitInvalid, code)
}

func TestPlanShowsWhatWouldBeDone(t *testing.T) {
	s := serve(t)
	s.orders(true)
	var bodies []string
	s.mux.HandleFunc("POST /v1/tenants/shop/jobs/orders/plans", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		_ = json.NewEncoder(w).Encode(apiclient.Plan{
			Kind: "upgrade", Strategy: "cold", Digest: digestD, Restore: "savepoint taken by this operation", Steps: []string{"reserve", "submit"},
			From: apiclient.Side{Revision: 1, Profile: "small", Generation: 1, Epoch: 1}, To: apiclient.Side{Revision: 3, Profile: "big", Generation: 2, Epoch: 2},
			Changes: []apiclient.Change{{Field: "artifact", From: digestD, To: digestD}, {Field: "options.x", To: "1"}},
			Delta:   apiclient.Delta{CPU: "200m", MemoryMiB: 1664, Slots: 2},
			Quota: []apiclient.QuotaRoom{
				{Quota: "tenant", Resource: "pods", Hard: "20", Left: "14", Needs: "3", Fits: true, FitsCold: true},
				{Quota: "tenant", Resource: "requests.cpu", Hard: "2", Left: "100m", Needs: "220m", FitsCold: true},
			},
			Predicted: apiclient.Prediction{SavepointMs: 310, Savepoints: 4, Note: "not known: how long the job is down; no committed operation of this job says"},
		})
	})
	file := manifestFile(t, jobOnly)
	code, out, errors := sluice(t, "plan", "-f", file, "--profile", "big", "--strategy", "cold")
	require.Equal(t, exitOK, code, errors)
	require.Equal(t, []string{
		"upgrade shop/orders (cold)", "from revision 1 (), profile small, generation 1, epoch 1", "to revision 3 (), profile big, generation 2, epoch 2",
		"changes 2", "~ artifact sha256:dddddddddddd… → sha256:dddddddddddd…", "+ options.x 1",
		"needs 200m CPU, 1664 MiB of memory, 2 slots, beside what runs until the old generation is gone",
		"quota fits: tenant pods: needs 3, 14 of 20 are left", "quota does not fit: tenant requests.cpu: needs 220m, 100m of 2 are left",
		"expect savepoint and stop 310ms (median of 4), not known: how long the job is down; no committed operation of this job says",
		"restore savepoint taken by this operation", "steps reserve, submit", "digest " + digestD,
		"to do just this: sluice apply -f " + file + " && sluice op upgrade orders --profile big --strategy cold --plan-digest " + digestD,
	}, lines(out))
	require.JSONEq(t, `{"kind":"upgrade","profile":"big","strategy":"cold","spec":{"engine":{"name":"flink","version":"1.20.5"},
		"artifact":"sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1","entryClass":"com.example.Orders"}}`, bodies[0])
	for _, asked := range s.asked {
		require.True(t, strings.HasPrefix(asked, "GET ") || strings.HasSuffix(asked, "/plans"), asked)
	}

	code, out, _ = sluice(t, "plan", "shop/orders", "--kind", "stop", "--plan-digest", digestD, "-o", "json")
	require.Equal(t, exitOK, code)
	require.JSONEq(t, `{"kind":"stop","planDigest":"`+digestD+`"}`, bodies[1])
	var plan apiclient.Plan
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	require.Equal(t, digestD, plan.Digest)
}

func TestPlanRefusals(t *testing.T) {
	s := serve(t)
	s.orders(true)
	s.problem("POST /v1/tenants/shop/jobs/orders/plans", failure.New(failure.Conflict, "the plan is stale").WithNext("look again"))
	code, _, errors := sluice(t, "plan", "orders")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errors, "→ look again")
	s.problem("GET /v1/tenants/shop/jobs/fresh", failure.New(failure.NotFound, "no"))
	code, _, errors = sluice(t, "plan", "-f", manifestFile(t, strings.Replace(jobOnly, "name: orders", "name: fresh", 1)))
	require.Equal(t, exitNotFound, code)
	require.Contains(t, errors, "sluice apply creates it")
	for _, args := range [][]string{{"plan"}, {"plan", "orders", "-f", "x"}, {"plan", ""}} {
		code, _, _ = sluice(t, args...)
		require.Equal(t, exitInvalid, code)
	}
}

func TestOperationsCarryThePlansDigest(t *testing.T) {
	for _, kind := range []string{"start", "upgrade", "stop", "savepoint"} {
		s := serve(t)
		var body string
		s.mux.HandleFunc("POST /v1/tenants/shop/jobs/orders/operations", func(w http.ResponseWriter, r *http.Request) {
			content, _ := io.ReadAll(r.Body)
			body = string(content)
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(apiclient.Accepted{Operation: "01OP"})
		})
		code, _, _ := sluice(t, "op", kind, "orders", "--plan-digest", digestD)
		require.Equal(t, exitOK, code)
		require.JSONEq(t, `{"kind":"`+kind+`","planDigest":"`+digestD+`"}`, body)
	}
}

// at a terminal a person answers.
func atTerminal(t *testing.T, said string, args ...string) (code int, out, errors string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(said), out: &o, err: &e, asks: true}
	code = a.run(t.Context(), args)
	return code, o.String(), e.String()
}

func TestApplyAsksBeforeItChangesWhatExists(t *testing.T) {
	s := serve(t)
	s.orders(true)
	s.json("GET /v1/tenants/shop/artifacts/", http.StatusOK, apiclient.Artifact{Digest: digestD})
	applied := 0
	s.mux.HandleFunc("PUT /v1/tenants/shop/jobs/orders", func(w http.ResponseWriter, _ *http.Request) {
		applied++
		_ = json.NewEncoder(w).Encode(apiclient.Job{Tenant: "shop", Name: "orders", Revision: apiclient.Revision{Number: 3}})
	})
	file := manifestFile(t, jobOnly)
	for _, said := range []string{"", "\n", "n\n", "no\n", "maybe\n"} {
		code, out, errors := atTerminal(t, said, "apply", "-f", file)
		require.Equal(t, exitFailed, code)
		require.Empty(t, out)
		require.Contains(t, errors, "differs from revision 2, the newest\n  - options.a.b  1\nApply this? [y/N] ")
		require.NotContains(t, errors, "which runs", "apply doesn't touch it")
		require.Contains(t, errors, "nothing was applied")
	}
	require.Zero(t, applied)
	for i, said := range []string{"y\n", "Yes\n", "y"} {
		code, out, errors := atTerminal(t, said, "apply", "-f", file)
		require.Equal(t, exitOK, code, errors)
		require.Equal(t, i+1, applied)
		require.Equal(t, "job shop/orders: revision 3 unchanged\n", out)
	}
	code, _, errors := atTerminal(t, "", "apply", "-f", file, "--yes")
	require.Equal(t, exitOK, code)
	require.NotContains(t, errors, "[y/N]")
	code, _, errors = sluice(t, "apply", "-f", file) // no terminal: a script
	require.Equal(t, exitOK, code)
	require.NotContains(t, errors, "[y/N]")
	require.Equal(t, 5, applied)
}

func TestApplyDoesNotAskAboutWhatIsNewOrTheSame(t *testing.T) {
	for name, arrange := range map[string]func(*server){
		"new": func(s *server) {
			s.problem("GET /v1/tenants/shop/jobs/orders", failure.New(failure.NotFound, "no"))
		},
		"the same": func(s *server) { s.orders(false) },
	} {
		s := serve(t)
		arrange(s)
		s.json("GET /v1/tenants/shop/artifacts/", http.StatusOK, apiclient.Artifact{Digest: digestD})
		s.json("PUT /v1/tenants/shop/jobs/orders", http.StatusCreated, apiclient.Job{Tenant: "shop", Name: "orders"})
		code, _, errors := atTerminal(t, "", "apply", "-f", manifestFile(t, jobOnly))
		require.Equal(t, exitOK, code, name)
		require.NotContains(t, errors, "[y/N]", name)
	}
}

func TestAnInterruptedQuestionAppliesNothing(t *testing.T) {
	s := serve(t)
	s.orders(true)
	silent, speak := io.Pipe()
	defer func() { _ = speak.Close() }()
	ctx, interrupt := context.WithCancel(t.Context())
	var e bytes.Buffer
	a := &app{in: silent, out: io.Discard, err: interrupting{&e, interrupt}, asks: true}
	require.Equal(t, exitFailed, a.run(ctx, []string{"apply", "-f", manifestFile(t, jobOnly)}))
	require.Contains(t, e.String(), "nothing was applied")
	for _, asked := range s.asked {
		require.True(t, strings.HasPrefix(asked, "GET "), asked)
	}
}

// interrupting presses Ctrl-C at the question.
type interrupting struct {
	*bytes.Buffer
	interrupt func()
}

func (i interrupting) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "[y/N]") {
		i.interrupt()
	}
	return i.Buffer.Write(b)
}

func TestCompletion(t *testing.T) {
	s := serve(t)
	s.json("GET /v1/tenants/shop/jobs", http.StatusOK, apiclient.JobList{Items: []apiclient.Job{
		{Name: "orders", Current: apiclient.JobState{State: "running"}}, {Name: "payments"},
	}})
	s.json("GET /v1/tenants/shop/profiles", http.StatusOK, apiclient.ProfileList{Items: []apiclient.Profile{{Name: "big", Parallelism: 4}}})
	s.json("GET /v1/tenants/shop/operations", http.StatusOK, apiclient.OperationList{Items: []apiclient.Operation{operation("preparing", 1), operation("committed", 1)}})
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, _ := sluice(t, "completion", shell)
		require.Equal(t, exitOK, code)
		require.Contains(t, out, "sluice")
	}
	for typed, want := range map[string][]string{
		"op upgrade ":                  {"orders running", "payments"},
		"op upgrade o":                 {"orders running"},
		"plan ":                        {"orders running", "payments"},
		"get revision ":                {"orders running", "payments"},
		"get revision orders ":         nil,
		"op upgrade orders --profile ": {"big parallelism 4"},
		"op watch ":                    {"01OP upgrade orders: preparing", "01OP upgrade orders: committed"},
		"op cancel ":                   {"01OP upgrade orders: preparing"},
		"get profile ":                 {"big parallelism 4"},
		"plan orders --kind s":         {"start", "stop", "savepoint"},
		"get jobs -o ":                 {"table", "json", "yaml"},
		"get jobs ":                    nil,
	} {
		args := append([]string{"__complete"}, strings.Split(typed, " ")...)
		code, out, errors := sluice(t, args...)
		require.Equal(t, exitOK, code, errors)
		found := lines(out)
		if typed == "plan orders --kind s" {
			require.Subset(t, found, want, typed)
			continue
		}
		require.Equal(t, append(want, ":4"), found, typed)
	}
	t.Setenv("SLUICE_TOKEN", "wrong")
	_, out, _ := sluice(t, "__complete", "op", "stop", "")
	require.Equal(t, ":4\n", out, "no error over what is typed")
	code, out, _ := sluice(t, "__complete", "artifact", "push", "")
	require.Equal(t, exitOK, code)
	require.Equal(t, ":0\n", out, "files are the shell's")
}
