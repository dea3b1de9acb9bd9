package upgrade_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// ledger keeps what is entered.
func (w *world) ledger() *[]job.Snapshot {
	var entered []job.Snapshot
	w.env.OnActivity(activities.RecordSnapshot.Name, anything, anything).Return(
		func(_ context.Context, in activities.RecordSnapshotIn) (activities.None, error) {
			entered = append(entered, in.Snapshot)
			return activities.None{}, nil
		})
	return &entered
}

// decides is a person's word after an hour, when the operation waits.
func (w *world) decides(t *testing.T, option string) *bool {
	t.Helper()
	var accepted bool
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		w.decide(option, &accepted)
	}, time.Hour)
	return &accepted
}

// atRest: nothing runs, nothing was submitted, the Lease is free for a start.
func (w *world) atRest(t *testing.T) {
	t.Helper()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Empty(t, w.submits)
	require.True(t, w.state.Intent.Outcome.Over())
	require.Nil(t, w.state.Hold)
	require.Zero(t, w.state.ActiveGeneration())
}

// The savepoint is complete by Flink's word and can't be read, the job is down: it
// is given up, and the ledger has what no start may go behind.
func TestAnUnreadableSavepointIsGivenUpAndKept(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.VerifySnapshot.Name, anything, anything).Return(func(context.Context, activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
		return activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.Incompatible, "_metadata is cut off"))
	})
	entered := w.ledger()
	accepted := w.decides(t, upgrade.OptionGiveUp)
	w.run()
	require.True(t, *accepted)
	w.atRest(t)
	require.Len(t, *entered, 1)
	require.Equal(t, savepoint, (*entered)[0].Path)
	require.EqualValues(t, 5, (*entered)[0].Epoch)
	require.Greater(t, (*entered)[0].CheckpointID, int64(1)<<40, "newer than all else of its epoch")
}

// A savepoint, but the job runs on for ever: its end is proven by a cancel, and the
// savepoint is in the ledger.
func TestAJobThatIgnoresTheStopIsGivenUp(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Stop})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	w.newest = map[string]activities.FindSnapshotOut{"/savepoints/": {Path: savepoint, CheckpointID: 7}}
	entered := w.ledger()
	accepted := w.decides(t, upgrade.OptionGiveUp)
	w.run()
	require.True(t, *accepted)
	w.atRest(t)
	require.Equal(t, lease.Canceled, w.state.Intent.Outcome)
	require.Equal(t, []job.Snapshot{{Epoch: 5, CheckpointID: 7, Path: savepoint, Kind: "savepoint", Operation: "OP"}}, *entered)
}

// Its end would be its state's: it has neither checkpoint nor savepoint. The step is
// tried again instead.
func TestAJobWithNothingToStartFromIsNotGivenUp(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{err: failure.New(failure.Unproven, "nobody knows")}, {out: agentapi.StopOut{Savepoint: savepoint, JobState: "FINISHED"}}}
	w.facts.Target.Current.Epoch = 5
	w.facts.Checkpoint = activities.FindSnapshotOut{}
	accepted := w.decides(t, upgrade.OptionGiveUp)
	w.run()
	require.True(t, *accepted)
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, -1, w.index(activities.CancelJob.Name))
	require.Len(t, w.submits, 1)
	require.Contains(t, strings.Join(w.progress(t).Evidence, "\n"), "not given up")
}

// Nor is it handed over to another start, which is told so; what comes of the step is
// this operation's own.
func TestAJobWithNothingToStartFromIsNotSuperseded(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{err: failure.New(failure.Unproven, "nobody knows")}, {out: agentapi.StopOut{Savepoint: savepoint, JobState: "FINISHED"}}}
	w.facts.Target.Current.Epoch = 5
	w.facts.Checkpoint = activities.FindSnapshotOut{}
	next := upgrade.Input{Operation: "NEXT", Job: w.facts.Target.Identity.Ref, UID: "U", Request: job.Request{Kind: job.Start, Stateless: true}}
	var answered error
	var accepted bool
	w.env.RegisterDelayedCallback(func() { w.supersede(next, &answered) }, time.Hour)
	w.env.RegisterDelayedCallback(func() { w.decide(upgrade.OptionRetry, &accepted) }, 2*time.Hour)
	w.run()
	require.ErrorContains(t, answered, "nothing is left to start it from")
	require.True(t, accepted)
	require.NoError(t, w.env.GetWorkflowError(), "it committed, and nobody follows")
	require.Empty(t, w.progress(t).SupersededBy)
}

// The same ends by an operation that takes its place.
func TestAStopThatCantEndIsSuperseded(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	left := savepoint[:strings.LastIndex(savepoint, "/")+1] + job.MadeBy(job.FlinkJobID("U", 5)) + "1"
	w.facts.Checkpoint.Savepoints = []activities.FoundSnapshot{{Path: left, CheckpointID: 7}}
	next := upgrade.Input{Operation: "NEXT", Job: w.facts.Target.Identity.Ref, UID: "U", Request: job.Request{Kind: job.Start}}
	w.env.OnUpsertMemo(anything).Return(nil)
	answered := errors.New("never answered")
	w.env.RegisterDelayedCallback(func() { w.supersede(next, &answered) }, time.Hour)
	w.run()
	require.NoError(t, answered)
	var again *workflow.ContinueAsNewError
	require.True(t, errors.As(w.env.GetWorkflowError(), &again))
	w.atRest(t)
}

// No savepoint, and the job restarts: it lost nothing and runs on by itself.
func TestAJobThatRestartsUnderTheStopRunsOn(t *testing.T) {
	restarts := []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RESTARTING", Cause: "a task failed"}}}
	t.Run("released", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Stop})
		w.stops = restarts
		w.run()
		p := w.progress(t)
		require.Equal(t, job.Failed, p.Phase)
		require.Contains(t, p.Failure.Message, "runs on (restarting)")
		require.Contains(t, p.Failure.Next, "--without-savepoint")
		require.Nil(t, w.state.Hold)
		require.Equal(t, 3, w.state.ActiveGeneration())
		require.Equal(t, -1, w.index(activities.CancelJob.Name))
	})
	t.Run("gone on, where that is allowed", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade, WithoutSavepoint: true})
		w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
		w.stops = restarts
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Equal(t, "hdfs://nn/chk-4", w.submit(0).RestorePath)
	})
}

// The Lease doesn't move, for good: the old revision comes back from the savepoint.
func TestANewGenerationThatCantBecomeTheWriterIsRolledBack(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.MoveLease.Name, anything, anything).Return(func(_ context.Context, in activities.LeaseIn) (lease.State, error) {
		if in.Generation == 4 {
			return w.state, ontemporal.Error(failure.New(failure.Refused, "generation 4 is retired"))
		}
		return w.change(func(s lease.State) (lease.State, error) { return s.Move(in.Operation, in.Generation) })
	})
	accepted := w.decides(t, upgrade.OptionRollback)
	w.run()
	require.True(t, *accepted)
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, w.submits, 1)
	require.Equal(t, 3, w.submits[0].Generation)
	require.Equal(t, savepoint, w.submit(0).RestorePath)
	require.Equal(t, "sha256:old", w.submit(0).Spec.Artifact)
	require.Nil(t, w.state.Hold)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// Nothing is canceled before it is known what it goes on from: none, one that is
// broken, or one that was there when planned and is gone.
func TestNothingIsEndedWithoutACheckpointToGoOnFrom(t *testing.T) {
	chk := activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
	broken := func(w *world) {
		w.facts.Checkpoint = chk
		w.env.OnActivity(activities.VerifySnapshot.Name, anything, anything).Return(func(context.Context, activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
			return activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.Incompatible, "_metadata is cut off"))
		})
	}
	gone := func(w *world) {
		w.facts.Checkpoint = chk
		w.onCall = func(name string) {
			if name == activities.AcknowledgeHold.Name {
				w.facts.Checkpoint = activities.FindSnapshotOut{}
			}
		}
	}
	none := func(*world) {}
	for name, c := range map[string]struct {
		state   string // by the plan
		change  func(*world)
		planned bool // refused with nothing made
	}{
		"planned, none":       {"RESTARTING", none, true},
		"planned, broken":     {"FAILED", broken, true},
		"planned, then gone":  {"RESTARTING", gone, false},
		"savepoint, none":     {"RUNNING", none, false},
		"savepoint, broken":   {"RUNNING", broken, false},
		"savepoint, all gone": {"RUNNING", gone, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, job.Request{Kind: job.Upgrade, WithoutSavepoint: true})
			w.facts.Target.Current.Epoch = 5
			w.facts.Agent.JobState = c.state
			w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
			c.change(w)
			w.run()
			p := w.progress(t)
			require.Equal(t, job.Failed, p.Phase)
			require.Equal(t, failure.Refused, p.Failure.Code)
			require.Contains(t, p.Failure.Next, "the job was not touched")
			require.Equal(t, c.planned, w.index(activities.ReserveGeneration.Name) == -1)
			require.Equal(t, -1, w.index(activities.CancelJob.Name))
			require.Empty(t, w.submits)
			require.Nil(t, w.state.Hold)
			require.Equal(t, 3, w.state.ActiveGeneration())
		})
	}
}

// commits keeps what is written as the operation's outcome.
func (w *world) commits() *[]activities.CommitIn {
	var all []activities.CommitIn
	w.env.OnActivity(activities.Commit.Name, anything, anything).Return(
		func(_ context.Context, in activities.CommitIn) (activities.None, error) {
			all = append(all, in)
			return activities.None{}, nil
		})
	return &all
}

// A bounded job that is through within its start's soak: nothing is left to decide.
func TestAJobThatFinishesWhileItIsStartedAsksNobody(t *testing.T) {
	for name, noted := range map[string]bool{"noted by the agent": true, "known by its word": false} {
		t.Run(name, func(t *testing.T) {
			w := starting(t)
			committed := w.commits()
			w.env.OnActivity(activities.SoakJob.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
				if noted {
					_, _ = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Finished, "") })
					return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.JobFailed, "the job is FINISHED"))
				}
				return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.JobFailed, "the job is FINISHED").With("state", "FINISHED"))
			})
			w.run()
			require.ErrorContains(t, w.env.GetWorkflowError(), "ended by itself (FINISHED)")
			require.Len(t, w.submits, 1)
			require.Len(t, *committed, 1)
			require.Equal(t, "stopped", (*committed)[0].State)
			require.Nil(t, w.state.Hold)
		})
	}
}

// The old revision has come back and finishes by itself: it is the one in force.
func TestARolledBackJobThatFinishesStaysTheRevisionInForce(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	committed := w.commits()
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
	w.env.OnActivity(activities.SoakJob.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
		_, _ = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Finished, "") })
		return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.JobFailed, "the job is FINISHED"))
	})
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "ended by itself (FINISHED)")
	require.Len(t, w.submits, 2)
	require.Len(t, *committed, 1)
	require.Equal(t, 1, (*committed)[0].Revision)
	require.Equal(t, 3, (*committed)[0].Generation)
	require.EqualValues(t, 7, (*committed)[0].Epoch)
	require.Nil(t, w.state.Hold)
	require.Zero(t, w.state.ActiveGeneration())
}

// Another state backend reads only a canonical savepoint.
func TestAnotherStateBackendTakesACanonicalSavepoint(t *testing.T) {
	moving := func(request job.Request, option string) *world {
		w := newWorld(t, request)
		w.facts.Target.Revision.Spec.Options = map[string]string{option: "rocksdb"}
		w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
		return w
	}
	for _, option := range []string{"state.backend.type", "state.backend"} {
		t.Run(option, func(t *testing.T) {
			w, format := moving(job.Request{Kind: job.Upgrade}, option), ""
			stop := stopEnding(w, lease.Finished, savepoint)
			w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(func(ctx context.Context, in activities.AgentIn) (agentapi.StopOut, error) {
				format = in.Command.Stop.Format
				return stop(ctx, in)
			})
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			require.Equal(t, "CANONICAL", format)
		})
	}
	t.Run("a checkpoint is no way", func(t *testing.T) {
		w := moving(job.Request{Kind: job.Upgrade, WithoutSavepoint: true}, "state.backend.type")
		w.facts.Agent.JobState = "RESTARTING"
		w.run()
		require.Equal(t, failure.Refused, w.progress(t).Failure.Code)
		require.Contains(t, w.progress(t).Failure.Message, "from hashmap to rocksdb")
		require.Equal(t, -1, w.index(activities.ReserveGeneration.Name))
	})
	t.Run("nor when the savepoint failed", func(t *testing.T) {
		w := moving(job.Request{Kind: job.Upgrade, WithoutSavepoint: true}, "state.backend.type")
		w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
		w.run()
		require.Contains(t, w.progress(t).Failure.Message, "from hashmap to rocksdb")
		require.Equal(t, -1, w.index(activities.CancelJob.Name))
		require.Nil(t, w.state.Hold)
	})
	t.Run("what the new one published is out of the old one's reach", func(t *testing.T) {
		w := moving(job.Request{Kind: job.Upgrade, Replay: job.ReplayDeny}, "state.backend.type")
		w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
		w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 6): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
		w.env.RegisterDelayedCallback(func() {
			require.Len(t, w.submits, 1, "nothing is submitted to find out")
			require.NotContains(t, w.progress(t).Failure.Next, "replay, or", "denied")
		}, 30*time.Minute)
		accepted := w.decides(t, upgrade.OptionGiveUp)
		w.run()
		require.True(t, *accepted)
	})
}
