//go:build scenario

package scenario_test

import (
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	"sluice/testsuite/hostile"
	. "sluice/testsuite/scenario"
)

// hostileRequests sends the whole table at a running job, and looks at everything
// that a request could have written, before and after.
func hostileRequests(t *testing.T) {
	w := Given(t, "shop")
	narrow := V1
	narrow.Options = map[string]string{job.MaxParallelismOption: "4"}
	w.Apply(narrow)
	wide := map[string]any{"jobManager": Small.JobManager, "taskManager": job.TaskManager{Role: Small.TaskManager.Role, Replicas: 1, Slots: 8}, "parallelism": 8}
	require.Less(t, w.Call(http.MethodPut, "/profiles/hostile-wide", wide).Status, 300)
	key := "start-" + w.Name
	first := w.Begin(Request(job.Start), "Idempotency-Key", key)
	require.Equal(t, job.Committed, w.Wait(first.Operation).Phase)
	w.Records(300)

	server := w.Hostile(first.Operation, key, w.Push(V1.Jar))
	before := w.Footprint()
	require.Greater(t, len(before), 20)
	table := hostile.Table()
	var wrong []string
	for _, r := range table {
		answer, err := server.Send(t.Context(), r)
		if err == nil {
			err = hostile.Judge(r, answer)
		}
		if err != nil {
			wrong = append(wrong, r.Name+": "+err.Error())
		}
	}
	require.Empty(t, wrong, "%d of %d", len(wrong), len(table))
	require.Equal(t, before, w.Footprint(), "something was written")
	w.Say("%d hostile requests refused; %d rows, files and objects are as they were", len(table), len(before))

	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1, "the job ran through")
}

// generatedRequests are bound to a plan that there is not: those that are valid
// change the declared job and profiles of this story, and start nothing.
func generatedRequests(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	ended := w.Fails(job.Request{Kind: job.Stop}) // it never ran: there is nothing to stop
	artifact := w.Push(V1.Jar)
	server, document, client := w.Hostile(ended.Operation, "k", artifact), w.Document(), &http.Client{Timeout: time.Minute}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLUICE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "SLUICE_SEED")
	}
	w.Say("seed %d (SLUICE_SEED)", seed)
	g := hostile.NewGenerator(document, seed, map[string][]string{
		"tenant": {w.Tenant}, "job": {w.Name}, "operation": {ended.Operation}, "digest": {artifact}, "profile": {"generated"}, "number": {"1"},
		"artifact": {artifact}, "site": {"dc1"}, "name": {"flink"}, "version": {"1.20.5", "2.3.0"}, "entryClass": {"io.sluice.jobs.Counter"}, "cpu": {"1", "500m"},
		"kind": {"start", "stop", "upgrade", "savepoint", "restart", "rollback", "rescale"}, "strategy": {"warm", "cold", "in-place"}, "replay": {"ask", "deny"}, "option": {"a.b"}, "value": {"1"},
		"limit": {"2"}, "wait": {"0s"}, "Last-Event-ID": {"0"},
	})
	statuses, sent := map[int]int{}, 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); sent++ {
		r := g.Next()
		answer, err := server.Do(t.Context(), client, r)
		require.NoError(t, err, "%d of seed %d: %s", sent, seed, r)
		require.NoError(t, hostile.JudgeGenerated(t.Context(), document, r, answer, false), "%d of seed %d: %s", sent, seed, r)
		statuses[answer.Status]++
	}
	w.Say("%d generated requests: %v by status", sent, statuses)
	require.Greater(t, statuses[http.StatusOK], 10)
	require.False(t, w.Exists(1), "a generated request made a cluster")
	require.Empty(t, w.Savepoints())
}
