package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// Answers of /jobs/:id/resource-requirements, of 1.20.5 and 2.3.0 alike.
const (
	wantsFour = `{"source":{"parallelism":{"lowerBound":1,"upperBound":1}},"count":{"parallelism":{"lowerBound":1,"upperBound":4}}}`
	isDefault = `{"errors":["Internal server error.","<Exception on server side:\njava.util.concurrent.CompletionException: java.lang.UnsupportedOperationException: The DefaultScheduler does not support changing the parallelism without a job restart. This feature is currently only expected to work with the AdaptiveScheduler."]}`
)

// The adaptive scheduler runs a job as wide as the slots that it finds.
func TestRunningMeansAtTargetParallelism(t *testing.T) {
	vertex := func(id string, parallelism, running int) flink.Vertex {
		return flink.Vertex{ID: id, Name: id, Parallelism: parallelism, Tasks: map[string]int{flink.Running: running}}
	}
	source := vertex("source", 1, 1)
	for name, c := range map[string]struct {
		state    string
		vertices []flink.Vertex
		status   int
		answer   string
		want     string
	}{
		"as wide as asked":           {flink.Running, []flink.Vertex{source, vertex("count", 4, 4)}, 200, wantsFour, ""},
		"half as wide":               {flink.Running, []flink.Vertex{source, vertex("count", 2, 2)}, 200, wantsFour, `"count" runs at parallelism 2 of 4`},
		"a subtask is still missing": {flink.Running, []flink.Vertex{source, vertex("count", 4, 3)}, 200, wantsFour, `"count" runs 3 of 4 subtasks`},
		"waits for slots":            {"CREATED", []flink.Vertex{vertex("source", 1, 0)}, 200, wantsFour, "the job is CREATED"},
		"rescales":                   {"RESTARTING", []flink.Vertex{source}, 200, wantsFour, "the job is RESTARTING"},
		"the default scheduler":      {flink.Running, []flink.Vertex{source, vertex("count", 4, 4)}, 500, isDefault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /jobs/id/resource-requirements", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			a := &Agent{flink: flink.New(server.URL, flink.NewTransport(nil))}
			waiting, err := a.missing(t.Context(), flink.Job{ID: "id", State: c.state, Vertices: c.vertices})
			require.NoError(t, err)
			require.Equal(t, c.want, waiting)
		})
	}
}

// Flink restarts a job for minutes before it says FAILED.
func TestASubmissionThatOnlyRestartsHasFailed(t *testing.T) {
	restarts := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/id", func(w http.ResponseWriter, _ *http.Request) {
		restarts++
		_, _ = fmt.Fprintf(w, `{"jid":"id","state":"RESTARTING","timestamps":{"RUNNING":%d,"RESTARTING":0},"vertices":[]}`, 1000*restarts)
	})
	mux.HandleFunc("GET /jobs/id/exceptions", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"root-exception":"java.lang.IllegalStateException: poison"}`))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	a := &Agent{flink: flink.New(server.URL, flink.NewTransport(nil))}
	r := &running{commands: newCommands(nil)}
	_, err := a.awaitVertices(t.Context(), r, agentapi.AwaitIn{FlinkJobID: "id"})
	require.Equal(t, failure.JobFailed, failure.CodeOf(err))
	require.ErrorContains(t, err, "poison")
	require.Equal(t, 3, restarts)
}
