//go:build scenario

package scenario_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// rollbackExact: the new revision fails before it published anything; the old
// one goes on from the savepoint as if nothing had been.
func rollbackExact(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	rare := V2
	rare.Interval = "10 min"
	w.Apply(rare)
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "trigger-checkpoint", "before", "refuse")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Failed, o.Phase, "%+v", o.Progress)
	require.True(t, o.Progress.Rollback.Exact)
	require.Equal(t, o.Progress.Savepoint, o.Progress.Rollback.RestorePath)
	backOnTheOldCluster(t, w, 3)
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

// rollbackAfterCheckpoint: it published, then it failed in its soak. What it
// published is in its own newest checkpoint, and the old revision can read it.
func rollbackAfterCheckpoint(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2.With("--fail-after-seconds", "4"))
	o := w.RollsBack(failsInSoak())
	require.Contains(t, o.Progress.Rollback.RestorePath, "/chk-", "the new revision's own")
	require.True(t, o.Progress.Rollback.Exact)
	backOnTheOldCluster(t, w, 3)
	w.Records(1500)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

// superseded: the way forward and the way back fail, and a start of the old
// revision takes the waiting operation's place.
func superseded(t *testing.T) {
	w := Given(t, "faults")
	w.Apply(V1)
	w.Run(Request(job.Start))
	w.Records(300)
	w.Apply(V2)
	w.ArmAgent(1, "submit-job", "before", "refuse")
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "submit-job", "before", "refuse")
	waiting := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, waiting.Phase, "%+v", waiting.Progress)
	require.Contains(t, optionNames(waiting.Progress), upgrade.OptionSupersede)
	start := Request(job.Start)
	start.Revision = 1
	busy := w.Call(http.MethodPost, "/jobs/"+w.Name+"/operations", start)
	require.Equal(t, http.StatusConflict, busy.Status, string(busy.Body))
	start.Supersede = accepted.Operation
	o := w.Run(start)
	require.Equal(t, waiting.Progress.Savepoint, o.Progress.Plan.RestorePath)
	over := w.Operation(accepted.Operation)
	require.Equal(t, job.Failed, over.Phase)
	require.Equal(t, o.Operation, over.Progress.SupersededBy)
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

// rollbackWaits: the way back fails too. The operation waits, open, with its
// evidence, and goes on at a person's word.
func rollbackWaits(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	w.Apply(V2)
	w.ArmAgent(1, "submit-job", "before", "refuse")
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "submit-job", "before", "refuse")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, o.Phase, "%+v", o.Progress)
	require.Equal(t, []string{upgrade.OptionRetry, upgrade.OptionGiveUp, upgrade.OptionSupersede}, optionNames(o.Progress))
	details, attributes := w.UI()
	require.Contains(t, details, "a person's decision: retry or give-up")
	require.Equal(t, string(job.Waiting), attributes["SluicePhase"])
	path := "/operations/" + accepted.Operation + "/decide"
	refused := w.Call(http.MethodPost, path, map[string]string{"option": "replay"})
	require.Equal(t, http.StatusConflict, refused.Status, string(refused.Body))
	w.Want(http.StatusAccepted, http.MethodPost, path, map[string]string{"option": "retry", "reason": "mended"}, nil)
	o = w.WaitPast(accepted.Operation, o.Progress.Version)
	require.Equal(t, job.Failed, o.Phase, "%+v", o.Progress)
	require.True(t, o.Progress.Rollback.Exact)
	backOnTheOldCluster(t, w, 4) // the first way back was closed
	w.Records(900)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

// savepointFails: no savepoint can be written, and the job runs on as if nothing
// had been.
func savepointFails(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2)
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	mend := w.LockSavepoints()
	failed := w.Wait(accepted.Operation)
	require.Equal(t, job.Failed, failed.Phase, "%+v", failed.Progress)
	require.Contains(t, failed.Progress.Failure.Message, "the savepoint failed and the job runs on")
	require.Equal(t, 1, w.Lease().ActiveGeneration())
	require.Nil(t, w.Lease().Hold)
	require.EqualValues(t, 1, w.Lease().Epoch, "never submitted again")
	mend()
	w.Records(900)
	w.Run(Request(job.Upgrade))
	w.Records(1500)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}

// withoutSavepoint: the same, where the request allows to go on from the newest
// checkpoint.
func withoutSavepoint(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2)
	request := Request(job.Upgrade)
	request.WithoutSavepoint = true
	accepted := w.Begin(request)
	w.AfterActivity(activities.AwaitGeneration.Name)
	mend := w.LockSavepoints()
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	require.Contains(t, Detail(o.Progress, "newest"), "/chk-")
	mend()
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

func optionNames(p upgrade.Progress) []string {
	all := make([]string, 0, len(p.Options))
	for _, o := range p.Options {
		all = append(all, o.Name)
	}
	return all
}

// backOnTheOldCluster: generation 1 writes again, in a later epoch.
func backOnTheOldCluster(t *testing.T, w *World, epoch int64) {
	t.Helper()
	state := w.Lease()
	require.Equal(t, 1, state.ActiveGeneration())
	require.Equal(t, 1, state.Intent.Generation)
	require.Equal(t, epoch, state.Epoch)
	require.Nil(t, state.Hold)
	w.Until("the failed cluster is gone", time.Minute, func() bool { return !w.Exists(2) })
}

// failsAfterStart: the new revision is RUNNING, then breaks at its first record.
func failsAfterStart(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	rare := V2.With("--poison", "1")
	rare.Interval = "10 min"
	w.Apply(rare)
	o := w.RollsBack(Request(job.Upgrade))
	require.Contains(t, o.Progress.Rollback.Why, "--poison 1", "Flink's own reason")
	require.True(t, o.Progress.Rollback.Exact)
	require.Equal(t, o.Progress.Savepoint, o.Progress.Rollback.RestorePath)
	backOnTheOldCluster(t, w, 3)
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

// rollbackCold: nothing of the old TaskManagers is left when the new revision
// fails; the ones that the profile asks for are made again.
func rollbackCold(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	rare := V2
	rare.Interval = "10 min"
	w.Apply(rare)
	request := Request(job.Upgrade)
	request.Strategy = job.Cold
	accepted := w.Begin(request)
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "trigger-checkpoint", "before", "refuse")
	o := w.RolledBack(w.Wait(accepted.Operation))
	require.True(t, o.Progress.Rollback.Exact)
	require.True(t, w.Happened(activities.ScaleDownWorkers.Name), "the old TaskManagers had gone")
	require.True(t, w.Happened(activities.RestoreWorkers.Name))
	backOnTheOldCluster(t, w, 3)
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

// mainOverrides: its checkpoints lie where the platform doesn't look. That shows
// only at the first one, and with it the new revision has published: the way back
// repeats that, and takes a word.
func mainOverrides(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	elsewhere := "/data/scenario/" + w.Name + "/elsewhere"
	w.Apply(V2.With("--checkpoints", w.URI(elsewhere)))
	accepted := w.Begin(Request(job.Upgrade))
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, o.Phase, "%+v", o.Progress)
	require.Contains(t, o.Progress.Rollback.Why, "the job keeps its checkpoints in "+w.URI(elsewhere))
	require.Equal(t, 2, w.Lease().Intent.Generation, "nothing is published again without a word")
	o = w.RolledBack(w.Decide(o, upgrade.OptionReplay))
	require.Contains(t, o.Progress.Rollback.Replay.To, elsewhere+"/"+job.FlinkJobID(w.UID(), 2)+"/chk-")
	backOnTheOldCluster(t, w, 3)
	requirePublished(t, w)
	w.AllPublished()
	w.Run(Request(job.Stop))
	w.GreenRepeated("v2", "v1", "v2")
}
