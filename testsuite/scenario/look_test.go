//go:build scenario

package scenario_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/pki"
	. "sluice/testsuite/scenario"
)

// Whose tokens the story uses.
const (
	viewer   = "SLUICE_VIEWER_TOKEN_FILE"
	stranger = "SLUICE_STRANGER_TOKEN_FILE" // a viewer of another tenant
)

// lookThroughTheAgent walks the whole way that a person's look takes: cli, api,
// agent, JobManager; and tries what must not come through it.
func lookThroughTheAgent(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	require.Equal(t, "/problems/not-found", w.Call(http.MethodGet, flinkOf(w)+"/overview", nil).Problem(t).Type, "nothing runs")
	w.Run(Request(job.Start))
	w.Records(100)
	before := w.Lease()
	flinkJob := before.Intent.FlinkJobID

	ui := w.OpenUI(viewer)
	page := w.Browse(ui)
	require.Equal(t, http.StatusOK, page.Status, string(page.Body))
	require.Contains(t, page.Header.Get("Content-Type"), "text/html")
	script := regexp.MustCompile(`main\.[0-9a-f]+\.js`).Find(page.Body)
	require.NotEmpty(t, script, string(page.Body))
	require.Equal(t, http.StatusOK, w.Browse(ui+string(script)).Status)
	require.Equal(t, http.StatusOK, w.Browse(ui+"config").Status)
	require.Equal(t, "RUNNING", stateInOverview(t, w.Browse(ui+"jobs/overview").Body, flinkJob))
	for _, path := range []string{"overview", "taskmanagers", "jobmanager/metrics", "jobs/" + flinkJob, "jobs/" + flinkJob + "/checkpoints", "jobs/" + flinkJob + "/exceptions"} {
		answer := w.Browse(ui + path)
		require.Equal(t, http.StatusOK, answer.Status, "%s: %s", path, answer.Body)
		require.Empty(t, answer.Header.Get("Access-Control-Allow-Origin"), path)
	}
	w.Say("Flink's UI and its REST are at %s", ui)
	printed, code, said := w.Rest(viewer, "/jobs/overview")
	require.Zero(t, code, said)
	require.Equal(t, "RUNNING", stateInOverview(t, printed, flinkJob))

	for _, c := range []struct{ method, path, problem string }{
		{"POST", "/jars/upload", "method-not-allowed"},
		{"POST", "/jobs/" + flinkJob + "/stop", "method-not-allowed"},
		{"PATCH", "/jobs/" + flinkJob + "?mode=cancel", "method-not-allowed"},
		{"PUT", "/jobs/" + flinkJob + "/resource-requirements", "method-not-allowed"},
		{"DELETE", "/cluster", "method-not-allowed"},
		{"GET", "/jobs/" + flinkJob + "/yarn-cancel", "forbidden"},
		{"GET", "/jobs/" + flinkJob + "/yarn-stop", "forbidden"},
		{"GET", "/jobs/" + flinkJob + "?mode=cancel", "forbidden"},
		{"GET", "/jars", "forbidden"},
		{"GET", "/jobmanager/config", "forbidden"},
		{"GET", "/jobmanager/environment", "forbidden"},
		{"GET", "/jobmanager/logs", "forbidden"},
		{"GET", "/jobs/" + flinkJob + "/config", "forbidden"},
		{"GET", "/assets/%2e%2e/jars", "forbidden"},
		{"GET", "/../../../../v1/state", "forbidden"},
	} {
		// The admin's token: no role reaches further.
		require.Equal(t, "/problems/"+c.problem, w.Call(c.method, flinkOf(w)+c.path, nil).Problem(t).Type, "%s %s", c.method, c.path)
	}
	require.Equal(t, http.StatusForbidden, w.AskAgent(1, pki.API, "/v1/state"), "the api's key commands nobody")
	require.Equal(t, http.StatusForbidden, w.AskAgent(1, pki.API, agentapi.LookPath+"/jobs/"+flinkJob+"/yarn-cancel"), "the agent asks its own list")
	require.Equal(t, http.StatusOK, w.AskAgent(1, pki.API, agentapi.LookPath+"/config"))
	w.Say("uploads, cancels (PATCH and yarn-cancel), jars, logs and configurations are refused with a problem")

	answer := w.Call(http.MethodGet, flinkOf(w)+"/jobs/overview", nil, "Authorization", "Bearer "+w.TokenIn(stranger))
	require.Equal(t, "/problems/forbidden", answer.Problem(t).Type)
	require.NotContains(t, string(answer.Body), flinkJob)
	_, code, said = w.Rest(stranger, "/jobs/overview")
	require.Equal(t, 4, code, said)
	w.Say("a viewer of another tenant gets nothing")

	require.Equal(t, "RUNNING", stateInOverview(t, w.Browse(ui+"jobs/overview").Body, flinkJob))
	require.Equal(t, before.Epoch, w.Lease().Epoch, "one submission")
	w.Records(600)
	w.Run(Request(job.Stop))
	require.Equal(t, http.StatusNotFound, w.Browse(ui+"jobs/overview").Status, "it runs no more")
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1)
}

func flinkOf(w *World) string { return "/jobs/" + w.Name + "/flink" }

// stateInOverview is the state that Flink gives a job.
func stateInOverview(t *testing.T, content []byte, flinkJob string) string {
	t.Helper()
	var overview struct {
		Jobs []struct {
			ID    string `json:"jid"`
			State string `json:"state"`
		} `json:"jobs"`
	}
	require.NoError(t, json.Unmarshal(content, &overview), string(content))
	for _, j := range overview.Jobs {
		if j.ID == flinkJob {
			return j.State
		}
	}
	return "not there"
}
