//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// comesBack starts a job that lost its JobManager, as soon as that is proven.
func comesBack(w *World) {
	w.T.Helper()
	start := Request(job.Start)
	start.Profile = ""
	w.Until("the loss is proven, and the job starts again", 2*time.Minute, func() bool {
		return w.Wait(w.Begin(start).Operation).Phase == job.Committed
	})
}

// incidentRecorded: nobody operates on the job when its JobManager dies. The run
// that records it is in no operation's way.
func incidentRecorded(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Kill(w.Processes("shop", w.Selector(1, "jobmanager")))
	incident := w.Incident()
	require.EqualValues(t, 1, incident.Epoch)
	require.Equal(t, 1, incident.Generation)
	require.EqualValues(t, 137, incident.ExitCode)
	require.Empty(t, incident.Operation, "none was open")
	comesBack(w)
	w.CaughtUp()
	w.Apply(V2)
	w.Run(Request(job.Upgrade))
	w.CaughtUp()
	w.Run(Request(job.Stop))
	require.Equal(t, incident, w.Incident(), "what operations end is no incident")
	w.GreenAfterRollback("v1", "v2")
}

// incidentWhilePreparing: the old job is lost before the operation touched it. What
// was prepared for it goes; the operation says why.
func incidentWhilePreparing(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	w.Apply(V2)
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "run-primer", "after", "hold")
	w.Until("the primer's savepoint", time.Minute, func() bool {
		_, err := w.HDFS.Stat(job.PrimerDirectory(w.UID(), 2) + "/savepoint/_metadata")
		return err == nil
	})
	w.Kill(w.Processes("faults", w.Selector(1, "jobmanager")))
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Failed, o.Phase, "%+v", o.Progress)
	require.Contains(t, o.Progress.Failure.Message, "before this operation had touched the job")
	require.Equal(t, accepted.Operation, w.Incident().Operation)
	after := w.Lease()
	require.Equal(t, 1, after.ActiveGeneration())
	require.EqualValues(t, 1, after.Epoch, "nothing was submitted")
	require.Nil(t, after.Hold)
	w.Until("the new generation is gone", time.Minute, func() bool { return !w.Exists(2) })
	comesBack(w)
	w.CaughtUp()
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

// podForceDeleted: somebody deletes the JobManager's pod without asking its kubelet.
// The worker looks at the node, which is up: only the kubelet's word counts, and it
// comes.
func podForceDeleted(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.ForceDelete(1, "jobmanager")
	require.EqualValues(t, 1, w.Incident().Epoch)
	comesBack(w)
	w.CaughtUp()
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}
