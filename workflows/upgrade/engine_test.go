package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// State goes to its own engine line and to newer ones, never back.
func TestEngineMustReadTheState(t *testing.T) {
	upgradeFacts := func() upgrade.Facts { return runningFacts(job.Request{Kind: job.Upgrade}) }
	// A job that a stop ended with a savepoint, committed.
	startFacts := func() upgrade.Facts {
		f := stoppedFacts(job.Request{Kind: job.Start}, lease.Finished)
		f.Target.Current.Epoch = 5
		f.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 9, Path: "s9"}}
		return f
	}
	for name, c := range map[string]struct {
		facts    upgrade.Facts
		from, to string
		change   func(*upgrade.Facts)
		refused  bool
	}{
		"upgrade to a newer line":     {facts: upgradeFacts(), from: "1.20.5", to: "2.3.0"},
		"upgrade back":                {facts: upgradeFacts(), from: "2.3.0", to: "1.20.5", refused: true},
		"upgrade back by a patch":     {facts: upgradeFacts(), from: "1.20.5", to: "1.20.3"},
		"upgrade back within 2.x":     {facts: upgradeFacts(), from: "2.3.0", to: "2.1.3", refused: true},
		"start with a newer line":     {facts: startFacts(), from: "1.20.5", to: "2.3.0"},
		"start with an older line":    {facts: startFacts(), from: "2.3.0", to: "1.20.5", refused: true},
		"the same without the state":  {facts: startFacts(), from: "2.3.0", to: "1.20.5", change: func(f *upgrade.Facts) { f.Request.Stateless = true }},
		"from what it came from":      {facts: startFacts(), from: "2.3.0", to: "1.20.5", change: func(f *upgrade.Facts) { f.Lease.State.Intent.RestorePath = "s9" }},
		"of a submission that failed": {facts: startFacts(), from: "2.3.0", to: "1.20.5", change: func(f *upgrade.Facts) { f.Target.Current.Epoch = 4 }},
		"upgrade of a job that never was committed": {facts: upgradeFacts(), from: "2.3.0", to: "1.20.5", change: func(f *upgrade.Facts) {
			f.Target.CurrentSpec = nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.facts.Target.CurrentSpec.Engine.Version = c.from
			c.facts.Target.Revision.Spec.Engine.Version = c.to
			if c.change != nil {
				c.change(&c.facts)
			}
			plan, err := upgrade.Decide(c.facts)
			if !c.refused {
				require.NoError(t, err)
				require.NotEmpty(t, plan.Digest)
				return
			}
			require.Equal(t, failure.Refused, failure.CodeOf(err))
			require.ErrorContains(t, err, "flink "+c.to+" can't restore state that flink "+c.from+" wrote")
			require.Contains(t, failure.Of(err).Next, "--stateless")
		})
	}
}

// Whoever wrote it: the file itself says whether the engine can read it, and
// nothing was made by then.
func TestStartReadsTheSnapshotsFormat(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Start})
	w.facts = stoppedFacts(job.Request{Kind: job.Start}, lease.Failed)
	w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 7, Path: savepoint}}
	w.state = w.facts.Lease.State
	w.env.OnActivity(activities.VerifySnapshot.Name, mock.Anything, mock.Anything).Return(activities.VerifySnapshotOut{Version: 6, CheckpointID: 7}, nil)
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Equal(t, failure.Refused, p.Failure.Code)
	require.Contains(t, p.Failure.Message, "flink 1.20.5 can't restore state that a newer Flink wrote")
	require.NotContains(t, w.calls, activities.ReserveGeneration.Name)
}
