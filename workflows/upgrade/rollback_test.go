package upgrade_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// decide sends a decision and keeps whether it was accepted.
func (w *world) decide(option string, accepted *bool) {
	w.send(upgrade.UpdateDecide, accepted, upgrade.Decision{Option: option, Reason: "test"})
}

func (w *world) submit(i int) agentapi.SubmitIn { return *w.submits[i].Command.Submit }

var npe = failure.New(failure.JobFailed, "NullPointerException")

// Nothing was published behind the savepoint: the way back is exact.
func TestRollbackBeforeTheFirstCheckpointIsExact(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "NullPointerException")
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Len(t, w.submits, 2)
	require.Equal(t, 3, w.submits[1].Generation, "on the old cluster")
	require.EqualValues(t, 7, w.submit(1).Epoch)
	require.Equal(t, "sha256:old", w.submit(1).Spec.Artifact)
	require.Zero(t, w.submit(1).Parallelism, "the old generation's own")
	require.Equal(t, savepoint, w.submit(1).RestorePath)
	require.True(t, p.Rollback.Exact)
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Nil(t, w.state.Hold)
}

// It published: what it published is in its own newest snapshot.
func TestRollbackAfterACheckpointGoesOnFromIt(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 6): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	w.run()
	require.Len(t, w.submits, 2)
	require.Equal(t, "hdfs://nn/chk-9", w.submit(1).RestorePath)
	require.True(t, w.progress(t).Rollback.Exact)
}

// The old revision can't read it: output would be repeated, and that takes a
// word, the policy's or a person's.
func TestRollbackThatWouldRepeatOutput(t *testing.T) {
	chk := map[string]activities.FindSnapshotOut{
		job.FlinkJobID("U", 6): {Path: "hdfs://nn/chk-9", CheckpointID: 9},
	}
	t.Run("allowed", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade, Replay: job.ReplayAllow})
		w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
		w.newest = chk
		w.run()
		require.Equal(t, job.Failed, w.progress(t).Phase)
		require.Len(t, w.submits, 3)
		require.Equal(t, savepoint, w.submit(2).RestorePath)
		require.EqualValues(t, 8, w.submit(2).Epoch)
		require.Equal(t, &upgrade.Replay{From: savepoint, To: "hdfs://nn/chk-9", Epoch: 6, CheckpointID: 9}, w.progress(t).Rollback.Replay)
	})
	t.Run("asked", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
		w.newest = chk
		var nonsense, replay bool
		w.env.RegisterDelayedCallback(func() {
			require.Equal(t, job.Waiting, w.progress(t).Phase)
			require.Len(t, w.submits, 2, "nothing more before the word")
			w.decide("nonsense", &nonsense)
			w.decide(upgrade.OptionReplay, &replay)
		}, time.Hour)
		w.run()
		require.False(t, nonsense)
		require.True(t, replay)
		require.Equal(t, savepoint, w.submit(2).RestorePath)
		require.False(t, w.progress(t).Rollback.Exact)
	})
	t.Run("denied", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade, Replay: job.ReplayDeny})
		w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
		w.newest = chk
		var replay, giveUp bool
		w.env.RegisterDelayedCallback(func() {
			w.decide(upgrade.OptionReplay, &replay)
			w.decide(upgrade.OptionGiveUp, &giveUp)
		}, time.Hour)
		w.run()
		require.False(t, replay)
		require.True(t, giveUp)
		require.Len(t, w.submits, 2)
		require.Zero(t, w.state.ActiveGeneration())
		require.Nil(t, w.state.Hold)
	})
}

// An older line can't read what the new revision left: nobody submits to find out.
func TestARollbackToAnOlderEngineAsksAtOnce(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Revision.Spec.Engine.Version = "2.3.0"
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 6): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	var replay bool
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Len(t, w.submits, 1, "nothing more before the word")
		w.decide(upgrade.OptionReplay, &replay)
	}, time.Hour)
	w.run()
	require.True(t, replay)
	require.Len(t, w.submits, 2)
	require.Equal(t, savepoint, w.submit(1).RestorePath)
	require.Equal(t, &upgrade.Replay{From: savepoint, To: "hdfs://nn/chk-9", Epoch: 6, CheckpointID: 9}, w.progress(t).Rollback.Replay)
}

// Its main kept its checkpoints elsewhere: what it published is in those, and the
// savepoint would repeat it.
func TestRollbackOfAJobThatKeepsItsCheckpointsElsewhere(t *testing.T) {
	stray := failure.New(failure.Refused, "the job keeps its checkpoints elsewhere").With("external", "hdfs://nn/else/where/chk-1")
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.TakeCheckpoint.Name, anything, anything).Return(
		func(_ context.Context, in activities.AgentIn) (agentapi.CheckpointOut, error) {
			if in.Generation == 4 {
				return agentapi.CheckpointOut{}, ontemporal.Error(stray)
			}
			return agentapi.CheckpointOut{CheckpointID: 3}, nil
		})
	var replay bool
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Len(t, w.submits, 1, "nothing is repeated without a word")
		w.decide(upgrade.OptionReplay, &replay)
	}, time.Hour)
	w.run()
	require.True(t, replay)
	require.Len(t, w.submits, 2)
	require.Equal(t, savepoint, w.submit(1).RestorePath)
	require.Equal(t, &upgrade.Replay{From: savepoint, To: "hdfs://nn/else/where/chk-1", Epoch: 6}, w.progress(t).Rollback.Replay)
}

// The stop's answer is lost with the JobManager. The proof of its end is on its
// way: nobody is asked for what comes by itself.
func TestALostStopWaitsForItsProof(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{err: failure.New(failure.Unknown, "the JobManager doesn't know the trigger any more")}}
	w.newest = map[string]activities.FindSnapshotOut{"/savepoints/": {Path: savepoint, CheckpointID: 7}}
	w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
	w.facts.Agent.JobState = "RUNNING"
	w.onCall = func(name string) {
		if name == activities.StopJob.Name { // lost from here on
			w.facts.Agent.JobState = ""
		}
	}
	w.env.RegisterDelayedCallback(func() {
		require.Empty(t, w.submits, "a task may still run")
		w.facts.Agent.Idle = true
	}, 10*time.Second)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
	require.Equal(t, savepoint, w.submit(0).RestorePath)
}

// The rolled-back job makes checkpoints and fails then: its own lineage counts,
// never the abandoned branch.
func TestARollbackThatFailsLaterGoesOnFromItsOwn(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 7): {Path: "hdfs://nn/own-2", CheckpointID: 2}}
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.Len(t, w.submits, 3)
	require.Equal(t, savepoint, w.submit(1).RestorePath)
	require.Equal(t, "hdfs://nn/own-2", w.submit(2).RestorePath)
	require.Equal(t, 3, w.submits[2].Generation)
}

// It fails from its own snapshot too: that asks for a retry. The savepoint is no
// way out, for what the rolled-back job published would be repeated unsaid.
func TestARollbackThatFailsFromItsOwnSnapshotNeverGoesBehindIt(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade, Replay: job.ReplayAllow})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}, {err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 7): {Path: "hdfs://nn/own-2", CheckpointID: 2}}
	for hour := range 2 {
		w.env.RegisterDelayedCallback(func() {
			require.Equal(t, job.Waiting, w.progress(t).Phase)
			var accepted bool
			w.update(upgrade.UpdateRetry, &accepted)
		}, time.Duration(hour+1)*time.Hour)
	}
	w.run()
	require.Len(t, w.submits, 4)
	require.Equal(t, "hdfs://nn/own-2", w.submit(2).RestorePath)
	require.Equal(t, "hdfs://nn/own-2", w.submit(3).RestorePath)
	require.True(t, w.progress(t).Rollback.Exact)
}

// The old job died before its savepoint, and no checkpoint of it is left: it may
// have finished. Nothing is started from an older snapshot.
func TestADeadJobWithoutCheckpointsIsNotBroughtBack(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Current.Epoch = 5
	w.state.Intent.RestorePath = "hdfs://nn/older"
	w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(stopOf(w, lease.Closed))
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Empty(t, w.submits)
		var accepted bool
		w.decide(upgrade.OptionGiveUp, &accepted)
	}, time.Hour)
	w.run()
	require.Empty(t, w.submits)
}

// The new cluster takes nothing (its agent is gone): the savepoint is what the old
// job left, though Flink removed its checkpoints.
func TestARollbackWithNothingSubmittedGoesBackToTheSavepoint(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Current.Epoch = 5
	w.refuse = failure.New(failure.Refused, "the jar can't be uploaded")
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, w.submits, 2)
	require.Equal(t, savepoint, w.submit(1).RestorePath)
	require.Equal(t, 3, w.submits[1].Generation)
	require.True(t, w.progress(t).Rollback.Exact)
}

// The answer to the POST is unknown: the door is closed before anything else is
// submitted.
func TestAnUnknownSubmissionIsClosedBeforeTheRollback(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.posts = []answer[agentapi.SubmitOut]{{err: failure.New(failure.Unknown, "not answered")}}
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, w.submits, 2)
	require.NotEqual(t, -1, w.index(activities.CloseSubmission.Name))
	require.Equal(t, 3, w.submits[1].Generation)
}

// It runs, but not as it must: it is canceled, its checkpoints stay.
func TestARunningSubmissionIsCanceledBeforeTheRollback(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.posts = []answer[agentapi.SubmitOut]{{}}
	w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.Refused, "main overrides the checkpoint directory")}}
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, 3, w.submits[1].Generation)
}

// The rows of the stop table in which no savepoint came of it.
func TestStopTableWithoutSavepoint(t *testing.T) {
	chk := activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
	ended := func(w *world, outcome lease.Outcome) {
		w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(stopOf(w, outcome))
	}
	t.Run("failed: the old revision comes back from its newest checkpoint", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		w.facts.Checkpoint = chk
		ended(w, lease.Failed)
		w.run()
		require.Equal(t, job.Failed, w.progress(t).Phase)
		require.Len(t, w.submits, 1)
		require.Equal(t, 3, w.submits[0].Generation)
		require.Equal(t, "hdfs://nn/chk-4", w.submit(0).RestorePath)
	})
	t.Run("failed, and allowed: the new revision goes on from it", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade, WithoutSavepoint: true})
		w.facts.Checkpoint = chk
		ended(w, lease.Failed)
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Equal(t, 4, w.submits[0].Generation)
		require.Equal(t, "hdfs://nn/chk-4", w.submit(0).RestorePath)
	})
	t.Run("runs on, and allowed: canceled, then the new revision", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade, WithoutSavepoint: true})
		w.facts.Checkpoint = chk
		w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Less(t, w.index(activities.CancelJob.Name), w.index(activities.SubmitJob.Name))
		require.Equal(t, "hdfs://nn/chk-4", w.submit(0).RestorePath)
	})
	t.Run("finished by itself: nothing is started", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		ended(w, lease.Finished)
		w.run()
		require.ErrorContains(t, w.env.GetWorkflowError(), "ended by itself")
		require.Empty(t, w.submits)
		require.NotNil(t, w.state.Ended)
		require.Zero(t, w.state.ActiveGeneration())
		require.Nil(t, w.state.Hold)
	})
}

// No savepoint is tried of a job that restarts when planned. Whoever accepts that
// plan allows it; without such a word nothing is touched.
func TestUpgradeOfARestartingJob(t *testing.T) {
	restarting := func(request job.Request) *world {
		w := newWorld(t, request)
		w.facts.Agent.JobState = "RESTARTING"
		w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
		return w
	}
	w := restarting(job.Request{Kind: job.Upgrade})
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "nobody has allowed")
	require.Equal(t, -1, w.index(activities.ReserveGeneration.Name))
	seen := w.progress(t).Plan
	require.True(t, seen.NoSavepoint)

	for name, request := range map[string]job.Request{
		"accepted": {Kind: job.Upgrade, PlanDigest: seen.Digest},
		"said":     {Kind: job.Upgrade, WithoutSavepoint: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := restarting(request)
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			require.Equal(t, -1, w.index(activities.StopJob.Name))
			require.Equal(t, "hdfs://nn/chk-4", w.submit(0).RestorePath)
		})
	}

	// Between two restarts it is RUNNING: that is another plan.
	w = restarting(job.Request{Kind: job.Upgrade, PlanDigest: seen.Digest})
	w.facts.Agent.JobState = "RUNNING"
	w.run()
	require.Equal(t, failure.Conflict, w.progress(t).Failure.Code)
	require.Equal(t, -1, w.index(activities.ReserveGeneration.Name))
}

// Complete, but the job failed: the newest snapshot of the epoch, never older
// than the savepoint (7, by the world's word).
func TestASavepointOfAJobThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		newest activities.FindSnapshotOut
		want   string
	}{
		"no checkpoint":       {activities.FindSnapshotOut{}, savepoint},
		"an older one":        {activities.FindSnapshotOut{Path: "hdfs://nn/chk-6", CheckpointID: 6}, savepoint},
		"one that came after": {activities.FindSnapshotOut{Path: "hdfs://nn/chk-8", CheckpointID: 8}, "hdfs://nn/chk-8"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, job.Request{Kind: job.Upgrade})
			w.facts.Checkpoint = c.newest
			w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(stopOfSaved(w, lease.Failed))
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			require.Equal(t, c.want, w.submit(0).RestorePath)
		})
	}
}
