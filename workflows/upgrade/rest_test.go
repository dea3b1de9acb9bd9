package upgrade_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

var chk9 = activities.FindSnapshotOut{Path: "hdfs://nn/chk-9", CheckpointID: 9}

// looping is a job that crash-loops, committed as submission 5.
func looping(t *testing.T, request job.Request, left activities.FindSnapshotOut) *world {
	t.Helper()
	w := newWorld(t, request)
	w.facts.Agent.JobState = "RESTARTING"
	w.facts.Target.Current.Epoch = 5
	w.facts.Checkpoint = left
	return w
}

// recorded keeps what is entered into the ledger.
func (w *world) recorded() *activities.RecordSnapshotIn {
	in := &activities.RecordSnapshotIn{}
	w.env.OnActivity(activities.RecordSnapshot.Name, mock.Anything, mock.Anything).Return(
		func(_ context.Context, got activities.RecordSnapshotIn) (activities.None, error) {
			*in = got
			return activities.None{}, nil
		}).Maybe()
	return in
}

func (w *world) requireAtRest(t *testing.T, outcome lease.Outcome) {
	t.Helper()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Equal(t, outcome, w.state.Intent.Outcome)
	require.Zero(t, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
	require.Empty(t, w.submits)
}

func (w *world) requireUntouched(t *testing.T) {
	t.Helper()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, -1, w.index(activities.CancelJob.Name))
	require.Equal(t, lease.Accepted, w.state.Intent.Outcome)
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
}

func TestAStopOfACrashLoopingJobCancelsItAndKeepsItsCheckpoint(t *testing.T) {
	w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, chk9)
	kept := w.recorded()
	w.run()
	w.requireAtRest(t, lease.Canceled)
	require.Equal(t, -1, w.index(activities.StopJob.Name), "no savepoint is tried")
	require.Less(t, w.index(activities.VerifySnapshot.Name), w.index(activities.CancelJob.Name))
	require.Equal(t, chk9.Path, w.progress(t).Plan.Keeps)
	require.Equal(t, chk9.Path, kept.Snapshot.Path)
	require.Equal(t, job.Retained, kept.Snapshot.Kind)
	require.EqualValues(t, 5, kept.Snapshot.Epoch)

	next := upgrade.Facts{Request: job.Request{Kind: job.Start}, Target: w.facts.Target, Snapshots: []job.Snapshot{kept.Snapshot}, Checkpoint: chk9,
		Lease: activities.ReadLeaseOut{Exists: true, State: w.state}}
	plan, err := upgrade.Decide(next)
	require.NoError(t, err)
	require.Equal(t, chk9.Path, plan.RestorePath, "a start goes on from it")
}

func TestNobodyIsSurprisedByAStopWithoutASavepoint(t *testing.T) {
	w := looping(t, job.Request{Kind: job.Stop}, chk9)
	w.run()
	w.requireUntouched(t)
	require.Contains(t, w.progress(t).Failure.Next, "--without-savepoint")

	digest := w.progress(t).Plan.Digest
	w = looping(t, job.Request{Kind: job.Stop, PlanDigest: digest}, activities.FindSnapshotOut{Path: "hdfs://nn/chk-10", CheckpointID: 10})
	w.run()
	w.requireAtRest(t, lease.Canceled)
}

func TestAStopThatWouldLeaveNothingIsRefused(t *testing.T) {
	t.Run("no checkpoint", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, activities.FindSnapshotOut{})
		w.run()
		w.requireUntouched(t)
		require.Contains(t, w.progress(t).Failure.Next, "stateless")
	})
	t.Run("one that can't be read", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, chk9)
		w.env.OnActivity(activities.VerifySnapshot.Name, mock.Anything, mock.Anything).Return(activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.Invalid, "_metadata is cut off")))
		w.run()
		w.requireUntouched(t)
	})
	t.Run("it goes between plan and cancel", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, chk9)
		w.onCall = func(name string) {
			if name == activities.AcknowledgeHold.Name {
				w.facts.Checkpoint = activities.FindSnapshotOut{}
			}
		}
		w.run()
		w.requireUntouched(t)
	})
	t.Run("but for stateless", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, Stateless: true}, activities.FindSnapshotOut{})
		w.run()
		w.requireAtRest(t, lease.Canceled)
	})
}

func TestAStopWhoseSavepointFailsCancelsOnlyByAWordAndWithACheckpoint(t *testing.T) {
	failed := []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "no room on HDFS"}}}
	t.Run("by a word", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, chk9)
		w.facts.Agent.JobState, w.stops = "RUNNING", failed
		w.run()
		w.requireAtRest(t, lease.Canceled)
	})
	t.Run("without a checkpoint", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, activities.FindSnapshotOut{})
		w.facts.Agent.JobState, w.stops = "RUNNING", failed
		w.run()
		w.requireUntouched(t)
	})
	t.Run("its savepoint succeeds", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, activities.FindSnapshotOut{})
		w.facts.Agent.JobState = "RUNNING"
		w.run()
		w.requireAtRest(t, lease.Finished)
		require.Equal(t, savepoint, w.progress(t).Savepoint)
	})
}

func TestAStopOfAJobThatIsOverPutsItToRest(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		idle  bool
		found activities.FindSnapshotOut
		ended bool
	}{
		"it failed":   {"FAILED", true, chk9, false},
		"it finished": {"FINISHED", false, activities.FindSnapshotOut{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := looping(t, job.Request{Kind: job.Stop}, c.found)
			w.facts.Agent.JobState, w.facts.Agent.Idle = c.state, c.idle
			kept := w.recorded()
			w.run()
			w.requireAtRest(t, lease.Outcome(c.state))
			require.Equal(t, -1, w.index(activities.CancelJob.Name))
			require.Equal(t, c.found.Path, kept.Snapshot.Path)
			require.Equal(t, c.ended, w.state.Ended != nil, "a start of what finished stays refused")
		})
	}
	t.Run("its JobManager lost it, by proof", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop}, chk9)
		w.facts.Agent.JobState, w.facts.Agent.Idle = "", true
		w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
		w.run()
		w.requireAtRest(t, lease.Closed)
	})
	t.Run("without the proof nothing is touched", func(t *testing.T) {
		w := looping(t, job.Request{Kind: job.Stop, WithoutSavepoint: true}, chk9)
		w.facts.Agent.JobState = ""
		w.run()
		w.requireUntouched(t)
		require.Contains(t, w.progress(t).Failure.Next, "op start")
	})
}
