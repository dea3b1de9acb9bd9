//go:build scenario

package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// failsInSoak is an upgrade whose new revision publishes, then fails.
func failsInSoak() job.Request {
	soak := 7
	return job.Request{Kind: job.Upgrade, SoakSeconds: &soak}
}

// requirePublished: the second revision published, and that begins behind the
// savepoint with which the first one ended. Behind its last checkpoint only some
// of its sinks may have come to it.
func requirePublished(t *testing.T, w *World) {
	t.Helper()
	report := w.Report()
	for _, v := range report.Versions {
		if v.Version == "v2" {
			require.Equal(t, report.Trace.Submissions[0].Highest+1, v.Ranges[0].First, "it begins behind the savepoint")
			return
		}
	}
	require.Fail(t, "the new revision published nothing")
}

// requireReplay: the old revision came back from the savepoint, and the range that
// is published twice is stated.
func requireReplay(t *testing.T, w *World, o Operation) {
	t.Helper()
	back := o.Progress.Rollback
	require.Equal(t, o.Progress.Savepoint, back.RestorePath)
	require.Equal(t, o.Progress.Savepoint, back.Replay.From)
	require.Contains(t, back.Replay.To, "/checkpoints/"+job.FlinkJobID(w.UID(), 2)+"/chk-")
	require.EqualValues(t, 2, back.Replay.Epoch)
}

// rollbackWithReplay: the way back leads to an engine that can't read the new
// one's snapshots. Nothing is repeated before a person says so.
func rollbackWithReplay(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.On(flink1))
	w.Apply(V2.On(flink2).With("--fail-after-seconds", "4"))
	accepted := w.Begin(failsInSoak())
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, o.Phase, "%+v", o.Progress)
	require.Contains(t, optionNames(o.Progress), upgrade.OptionReplay)
	require.Contains(t, strings.Join(o.Progress.Evidence, "\n"), "flink 1.20.5 can't restore state that flink 2.3.0 wrote")
	require.EqualValues(t, 2, w.Lease().Epoch, "nobody submits to find that out")

	o = w.RolledBack(w.Decide(o, upgrade.OptionReplay))
	require.False(t, o.Progress.Rollback.Exact)
	requireReplay(t, w, o)
	backOnTheOldCluster(t, w, 3)
	requirePublished(t, w)
	w.AllPublished()
	w.Run(Request(job.Stop))
	w.GreenRepeated("v2", "v1", "v2")
}

// rollbackThenFails: the new revision has state that the old one can't take, so
// its branch is left. When the rolled-back job loses its JobManager it goes on
// from its own newest snapshot, though that branch has others.
func rollbackThenFails(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2.With("--extra-state", "--fail-after-seconds", "4"))
	request := failsInSoak()
	request.Replay = job.ReplayAllow
	o := w.RollsBack(request)
	requireReplay(t, w, o)
	backOnTheOldCluster(t, w, 4) // epoch 3 was refused by Flink: the state didn't fit
	requirePublished(t, w)

	own := "/checkpoints/" + w.Lease().Intent.FlinkJobID + "/chk-"
	w.Kill(w.Processes(w.Tenant, w.Selector(1, "jobmanager")))
	start := Request(job.Start)
	start.Revision = 1
	w.Until("a start behind the proven end", time.Minute, func() bool {
		o = w.Wait(w.Begin(start).Operation)
		return o.Phase == job.Committed
	})
	require.Contains(t, o.Progress.Plan.RestorePath, own)
	require.Contains(t, Detail(o.Progress, "run"), own)
	w.AllPublished()
	w.Run(Request(job.Stop))
	w.GreenRepeated("v2", "v1", "v2")
}
