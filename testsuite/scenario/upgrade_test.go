//go:build scenario

package scenario_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/testsuite/faults"
	. "sluice/testsuite/scenario"
)

func hdfsPath(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Path
}

// upgraded tells the common story and gives the world before its last stop.
func upgraded(t *testing.T, strategy job.Strategy) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2)
	request := Request(job.Upgrade)
	request.Strategy = strategy
	o := w.Run(request)
	require.Len(t, w.Savepoints(), 1)
	require.EqualValues(t, 2, w.Lease().Epoch)
	require.Equal(t, 2, w.Lease().ActiveGeneration())
	require.Equal(t, "artifact", o.Progress.Plan.Changes[0].Field)
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.HandOvers, 1)
	require.Positive(t, report.Trace.HandOvers[0].PauseMillis, "never two copies at a time")
}

func upgradeCold(t *testing.T) { upgraded(t, job.Cold) }
func upgradeWarm(t *testing.T) { upgraded(t, job.Warm) }

func workerKilled(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2)
	workers := w.Processes("sluice-system", "app.kubernetes.io/name=sluice-worker")
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.StopJob.Name)
	w.Kill(workers)
	late, err := faults.Completed(t.Context(), w.Temporal, job.Ref{Tenant: w.Tenant, Name: w.Name}.WorkflowID(), activities.SubmitJob.Name)
	require.NoError(t, err)
	require.False(t, late, "the kill came after the submission: it shows nothing")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	w.Say("committed all the same, downtime %d ms", o.Progress.DowntimeMS)

	require.Len(t, w.Savepoints(), 1, "one savepoint")
	require.EqualValues(t, 2, w.Lease().Epoch, "one submission")
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.Submissions, 2)
}

func failsInMain(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	before := w.Lease()
	w.Apply(V2.With("--fail-in-main"))
	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Incompatible, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "fail-in-main")
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	require.Nil(t, w.Lease().Hold)
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1, "the job ran through")
}

func badArtifactDigest(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)

	// At the door: the content isn't what the caller says.
	wrong := "sha256:" + "00000000000000000000000000000000000000000000000000000000000000aa"
	answer := w.Call(http.MethodPost, "/artifacts?digest="+wrong, w.OpenJar("counter-v2.jar"), "Content-Type", "application/java-archive")
	require.GreaterOrEqual(t, answer.Status, 400)
	require.Contains(t, answer.Problem(t).Type, string(failure.Digest))
	require.Equal(t, http.StatusNotFound, w.Call(http.MethodGet, "/artifacts/"+wrong, nil).Status, "nothing was left behind")

	// On HDFS: somebody changed the file under its name.
	digest := w.PlantArtifact(w.Jar("counter-v2.jar"))
	w.Apply(Version{Jar: "a tampered jar", Digest: digest})
	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Digest, o.Progress.Failure.Code, o.Progress.Failure.Message)
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	w.Records(900)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

func cancelBeforeStop(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2)
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.ApplyGeneration.Name)
	w.Want(http.StatusAccepted, http.MethodPost, "/operations/"+accepted.Operation+"/cancel", map[string]string{"reason": "changed our minds"}, nil)
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Canceled, o.Phase)
	require.Equal(t, 1, w.Lease().ActiveGeneration())
	require.Nil(t, w.Lease().Hold)
	w.Records(900)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1)
}
