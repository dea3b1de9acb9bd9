//go:build scenario

package scenario_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	"sluice/internal/lease"
	. "sluice/testsuite/scenario"
)

func startStopStart(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	disk, resident := w.AgentSize(1)
	w.Say("agent: %.1f MB on disk, %.1f MB resident", disk, resident)
	require.LessOrEqual(t, disk, 40.0, "MB on disk")
	stopped := w.Run(Request(job.Stop))
	require.NotEmpty(t, stopped.Progress.Savepoint)
	require.Equal(t, lease.Finished, w.Lease().Intent.Outcome)

	again := w.Run(Request(job.Start))
	require.Equal(t, stopped.Progress.Savepoint, again.Progress.Plan.RestorePath)
	require.EqualValues(t, 2, w.Lease().Epoch)
	w.Records(900)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 2)
}

func startWithoutSnapshot(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	stopped := w.Run(Request(job.Stop))
	w.Green("v1")

	kept := "/data/scenario/" + w.Name + "/kept"
	path := hdfsPath(t, stopped.Progress.Savepoint)
	require.NoError(t, w.HDFS.Rename(path, kept))
	refused := w.Fails(Request(job.Start))
	require.Contains(t, refused.Progress.Failure.Next, "stateless")
	require.Zero(t, w.Lease().ActiveGeneration(), "nothing was made")
	require.EqualValues(t, 1, w.Lease().Epoch, "nothing was submitted")

	require.NoError(t, w.HDFS.Rename(kept, path))
	w.Run(Request(job.Start))
	w.Records(600)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

// canceledFirstStart: what a primer left (one that shut a door, or an older
// platform's) is no state of the job's.
func canceledFirstStart(t *testing.T) {
	w := Given(t, "faults")
	w.Apply(V1)
	huge := Small
	huge.Name, huge.TaskManager.CPU = "huge", "32" // waits for room until it is canceled
	w.Profile(huge)
	start := Request(job.Start)
	start.Profile = huge.Name
	accepted := w.Begin(start)
	w.AfterActivity(activities.ApplyGeneration.Name)
	left := job.PrimerDirectory(w.UID(), 1) + "/savepoint"
	require.NoError(t, w.HDFS.MkdirAll(left, 0o770))
	file, err := w.HDFS.Create(left + "/_metadata")
	require.NoError(t, err)
	_, err = file.Write([]byte("a primer's"))
	require.NoError(t, err)
	w.Until("the primer's savepoint is closed", 20*time.Second, func() bool { return file.Close() == nil })
	w.Want(http.StatusAccepted, http.MethodPost, "/operations/"+accepted.Operation+"/cancel", map[string]string{"reason": "not today"}, nil)
	require.Equal(t, job.Canceled, w.Wait(accepted.Operation).Phase)
	w.Run(Request(job.Start))
	w.Records(100)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

// finishedThenLost: nobody saw the end, and the JobManager that knew of it is
// gone. Flink has removed the job's checkpoints; the snapshots of before would
// bring back what was published since.
func finishedThenLost(t *testing.T) {
	w := Given(t, "shop")
	bounded := V1
	bounded.Extra = []string{"--count", "2400"}
	w.Apply(bounded)
	w.Run(Request(job.Start))
	w.Run(Request(job.Savepoint))
	w.Records(2400)
	w.Kill(w.Processes("shop", w.Selector(1, "jobmanager")))
	// Until its end is recorded and its successor answers, the refusal says so.
	w.Until("the refusal that names the reason", 2*time.Minute, func() bool {
		return strings.Contains(w.Fails(Request(job.Start)).Progress.Failure.Message, "it may have finished by itself")
	})
	require.EqualValues(t, 1, w.Lease().Epoch, "nothing was submitted")
	report := w.Green("v1")
	require.EqualValues(t, 2400, report.Records)
	w.Remove()
}

func busy(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	first := w.Begin(Request(job.Start))
	answer := w.Call(http.MethodPost, "/jobs/"+w.Name+"/operations", Request(job.Savepoint))
	require.Equal(t, http.StatusConflict, answer.Status, string(answer.Body))
	problem := answer.Problem(t)
	require.Equal(t, first.Operation, problem.Details["operation"])
	require.NotEmpty(t, problem.Next)
	require.Equal(t, job.Committed, w.Wait(first.Operation).Phase)
	w.Records(100)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

func idempotentRepeat(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	key := "start-" + w.Name
	first := w.Begin(Request(job.Start), "Idempotency-Key", key)
	require.Equal(t, first.Operation, w.Begin(Request(job.Start), "Idempotency-Key", key).Operation)
	require.Equal(t, job.Committed, w.Wait(first.Operation).Phase)
	require.Equal(t, first.Operation, w.Begin(Request(job.Start), "Idempotency-Key", key).Operation, "also when it is over")

	answer := w.Call(http.MethodPost, "/jobs/"+w.Name+"/operations", Request(job.Stop), "Idempotency-Key", key)
	require.Equal(t, http.StatusUnprocessableEntity, answer.Status, string(answer.Body))
	require.EqualValues(t, 1, w.Lease().Epoch, "one submission")
	w.Records(100)
	w.Run(Request(job.Stop))
	w.Green("v1")
}
