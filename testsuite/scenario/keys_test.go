//go:build scenario

package scenario_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// sent is one of many starts and what came of it.
type sent struct {
	key    string
	answer Answer
	err    error
}

// concurrentStarts: the keys are of two kinds, one that 25 share and 25 others.
func concurrentStarts(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	starts := make([]sent, 50)
	var group sync.WaitGroup
	ready := make(chan struct{})
	for i := range starts {
		starts[i].key = "shared-" + w.Name
		if i%2 == 1 {
			starts[i].key = fmt.Sprintf("own-%d-%s", i, w.Name)
		}
		group.Go(func() {
			<-ready
			s := &starts[i]
			s.answer, s.err = w.Try(http.MethodPost, "/jobs/"+w.Name+"/operations", Request(job.Start), "Idempotency-Key", s.key)
		})
	}
	close(ready)
	group.Wait()

	winner, repeats := oneWon(t, starts)
	w.Say("50 starts at once: one began, %d were told its id again, %d refused with its link", repeats, 49-repeats)
	// The winner's key gives the same answer once more; by it the story knows the run.
	first := w.Begin(Request(job.Start), "Idempotency-Key", winner)
	require.Equal(t, job.Committed, w.Wait(first.Operation).Phase)
	var list struct {
		Items []Operation `json:"items"`
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name+"/operations", nil, &list)
	require.Len(t, list.Items, 1, "one operation ran")
	require.Equal(t, first.Operation, list.Items[0].Operation)
	require.EqualValues(t, 1, w.Lease().Epoch, "one submission")
	w.Records(300)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1)
}

// oneWon requires that all accepted starts have one operation and one key, and that
// all others were refused with that operation's link. It gives the key and the
// number of those that were accepted after the first.
func oneWon(t *testing.T, starts []sent) (key string, repeats int) {
	t.Helper()
	var operation string
	for _, s := range starts {
		require.NoError(t, s.err)
		if s.answer.Status != http.StatusAccepted {
			continue
		}
		var accepted Accepted
		require.NoError(t, json.Unmarshal(s.answer.Body, &accepted))
		if operation == "" {
			operation, key = accepted.Operation, s.key
		} else {
			repeats++
		}
		require.Equal(t, operation, accepted.Operation, "two operations began")
		require.Equal(t, key, s.key, "two keys have one operation")
	}
	require.NotEmpty(t, operation, "%s", starts[0].answer.Body)
	for _, s := range starts {
		if s.answer.Status == http.StatusAccepted {
			continue
		}
		require.Equal(t, http.StatusConflict, s.answer.Status, string(s.answer.Body))
		problem := s.answer.Problem(t)
		require.Equal(t, "/problems/busy", problem.Type)
		require.Equal(t, operation, problem.Details["operation"])
		require.Contains(t, problem.Details["link"], operation)
		require.NotEmpty(t, problem.Next)
	}
	return key, repeats
}

// oldKey: between the key's first use and its second the job was saved, then stopped
// and started by others. A client that repeats its start now, because it never saw
// the answer, must start nothing.
func oldKey(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	key := "start-" + w.Name
	first := w.Begin(Request(job.Start), "Idempotency-Key", key)
	require.Equal(t, job.Committed, w.Wait(first.Operation).Phase)
	w.Records(300)
	saved := w.Run(Request(job.Savepoint))
	again := w.Begin(Request(job.Start), "Idempotency-Key", key)
	require.Equal(t, first, again, "the same answer, word for word")
	require.Equal(t, saved.Operation, w.Newest(), "nothing was started")

	stopped := w.Run(Request(job.Stop))
	require.Equal(t, first, w.Begin(Request(job.Start), "Idempotency-Key", key))
	o := w.Operation(first.Operation)
	require.True(t, o.Final)
	require.Equal(t, job.Committed, o.Phase, "what it shows is the first operation's end")
	require.Equal(t, stopped.Operation, w.Newest(), "a stopped job stays stopped")
	require.Zero(t, w.Lease().ActiveGeneration())
	require.EqualValues(t, 1, w.Lease().Epoch)

	w.Run(Request(job.Start))
	require.Equal(t, first, w.Begin(Request(job.Start), "Idempotency-Key", key))
	require.EqualValues(t, 2, w.Lease().Epoch, "the second start's, and no third")
	w.Records(600)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 2)
}
