package upgrade_test

import (
	"context"
	"strings"
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

// rescaling is a job that runs at its profile and is to run at twice that.
func rescaling(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, job.Request{Kind: job.Rescale})
	id := job.FlinkJobID("U", 5)
	w.state.Intent.FlinkJobID, w.facts.Agent.FlinkJobID = id, id
	before := job.DefaultProfile()
	w.facts.Target.Revision.Number = w.facts.Target.Current.Revision
	w.facts.Target.Current.Applied = &before
	w.facts.Target.Current.Profile, w.facts.Target.Current.ProfileDigest = before.Name, before.Digest()
	after := before
	after.Name, after.TaskManager.Replicas, after.Parallelism = "promotion", 2, 4
	w.facts.Target.Profile = after
	return w
}

// bothVertices are a job's: count follows the profile, the sink runs at 4 by the
// program's own word.
var bothVertices = agentapi.TargetsOut{
	Before: map[string]int{"count": 2, "sink": 4}, After: map[string]int{"count": 4, "sink": 4}, Changed: 1,
}

func TestRescaleIsInPlaceOnlyWhereNothingElseChanges(t *testing.T) {
	for name, change := range map[string]func(*upgrade.Facts){
		"the revision":       func(f *upgrade.Facts) { f.Target.Revision.Number++ },
		"not recorded":       func(f *upgrade.Facts) { f.Target.Current.Applied = nil },
		"JobManager's":       func(f *upgrade.Facts) { f.Target.Profile.JobManager.MemoryMiB++ },
		"TaskManagers' reso": func(f *upgrade.Facts) { f.Target.Profile.TaskManager.CPU = "7" },
		"the slots":          func(f *upgrade.Facts) { f.Target.Profile.TaskManager.Slots++ },
	} {
		w := rescaling(t)
		plan, err := upgrade.Decide(w.facts)
		require.NoError(t, err)
		require.Equal(t, job.InPlace, plan.Strategy, plan.Why)
		require.Equal(t, 3, plan.To.Generation)
		require.Equal(t, upgrade.Delta{CPU: "1000m", MemoryMiB: 1728, Slots: 2}, plan.Delta)
		change(&w.facts)
		plan, err = upgrade.Decide(w.facts)
		require.NoError(t, err, name)
		require.Equal(t, job.Warm, plan.Strategy)
		require.Contains(t, plan.Why, name)
		w.facts.Request.Strategy = job.InPlace
		_, err = upgrade.Decide(w.facts)
		require.ErrorContains(t, err, name)
	}
}

func TestAParallelismAboveTheKeyGroupsIsRefused(t *testing.T) {
	w := rescaling(t)
	w.facts.Target.Revision.Spec.Options = map[string]string{"pipeline.max-parallelism": "3"}
	_, err := upgrade.Decide(w.facts)
	require.ErrorContains(t, err, "above the job's pipeline.max-parallelism of 3")
}

func TestInPlaceNotesTheSizeBeforeFlinkIsTold(t *testing.T) {
	w := rescaling(t)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, -1, w.index(activities.StopJob.Name))
	require.Empty(t, w.submits)
	require.Less(t, w.index(activities.AwaitGeneration.Name), w.index(activities.NoteSize.Name), "TaskManagers first")
	require.Less(t, w.index(activities.TakeCheckpoint.Name), w.index(activities.NoteSize.Name), "from a fresh checkpoint")
	require.Less(t, w.index(activities.NoteSize.Name), w.index(activities.RescaleJob.Name))
	require.Less(t, w.index(activities.PlaceHold.Name), w.index(activities.ReadTargets.Name), "nobody else submits meanwhile")
	require.Less(t, w.index(activities.ReadTargets.Name), w.index(activities.ScaleWorkers.Name), "before anything is changed")
	require.Equal(t, []map[string]int{bothVertices.After}, w.told)
	require.Equal(t, 4, w.state.Parallelism(3))
	require.Equal(t, "promotion", w.state.Profile)
	require.Nil(t, w.state.Hold)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// A size that the running vertices can't take is refused before anything is changed.
func TestInPlaceThatAVertexCantTakeIsRefusedUntouched(t *testing.T) {
	w := rescaling(t)
	w.targets = []answer[agentapi.TargetsOut]{{err: failure.New(failure.Refused, `"numbers" would run at parallelism 4, above its maximum of 1`).WithNext("--strategy warm")}}
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "numbers")
	require.Contains(t, w.progress(t).Failure.Next, "--strategy warm")
	require.Empty(t, w.workers)
	require.Empty(t, w.told)
	require.Nil(t, w.state.Size)
	require.Nil(t, w.state.Hold)
}

func TestInPlaceByAnAgentOfBeforeSaysThatWarmWouldDo(t *testing.T) {
	w := rescaling(t)
	w.targets = []answer[agentapi.TargetsOut]{{err: agentapi.Outdated("this agent has no command of kind %q", agentapi.Targets)}}
	w.run()
	require.Contains(t, w.progress(t).Failure.Next, "or rescale with --strategy warm")
	require.Nil(t, w.state.Hold)
}

// A job that restarts in its soak gets its old size back, on the Lease too.
func TestInPlaceThatFailsItsGateBringsTheSizeBack(t *testing.T) {
	w := rescaling(t)
	w.env.OnActivity(activities.SoakJob.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
		return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.JobFailed, "it restarted"))
	})
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "it restarted")
	require.Equal(t, []int{4, 2}, w.sizes)
	require.Equal(t, []map[string]int{bothVertices.After, bothVertices.Before}, w.told, "what was read, not what From says: the sink stays at 4")
	require.Equal(t, 2, w.state.Parallelism(3))
	require.Equal(t, []int{2, 1}, w.workers)
	require.Equal(t, []string{"p"}, w.named[1], "a busy one would cost a restart")
	require.Nil(t, w.state.Hold)
	require.Equal(t, job.Failed, w.progress(t).Phase)
}

// The job died on the way: it comes back at the new size, from its newest
// checkpoint, in the same cluster.
func TestInPlaceWhoseJobIsLostComesBackAtTheNewSize(t *testing.T) {
	w := rescaling(t)
	w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-9", CheckpointID: 9}
	w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.JobFailed, "gone")}}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
	submit := w.submits[0].Command.Submit
	require.Equal(t, 3, w.submits[0].Generation)
	require.Equal(t, 4, submit.Parallelism)
	require.Equal(t, "hdfs://nn/chk-9", submit.RestorePath)
	require.Equal(t, job.Committed, w.progress(t).Phase)
}

// fewer is a rescale from two TaskManagers to one.
func fewer(t *testing.T) *world {
	t.Helper()
	w := rescaling(t)
	before, after := w.facts.Target.Profile, *w.facts.Target.Current.Applied
	w.facts.Target.Profile, w.facts.Target.Current.Applied = after, &before
	w.facts.Target.Current.Profile, w.facts.Target.Current.ProfileDigest = before.Name, before.Digest()
	return w
}

// The look behind them must be a look: an agent gives a command that it knows its old
// answer. What is lost then is submitted again, at the size that is on the Lease.
func TestAJobThatIsLostAsTaskManagersGoIsSubmittedAgain(t *testing.T) {
	w := fewer(t)
	w.awaits = []answer[agentapi.AwaitOut]{{}, {err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 5): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
	require.Equal(t, w.facts.Target.Profile.Parallelism, w.submit(0).Parallelism)
	require.Equal(t, w.facts.Target.Profile.Parallelism, w.state.Size.Parallelism)
	require.Equal(t, job.Committed, w.progress(t).Phase)
}

// Nothing is asked again of a person who gave up.
func TestGivingUpALostRescaleEndsTheOperation(t *testing.T) {
	w := fewer(t)
	w.awaits = []answer[agentapi.AwaitOut]{{}, {err: npe}, {err: npe}}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 5): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	var accepted bool
	w.env.RegisterDelayedCallback(func() { w.decide(upgrade.OptionGiveUp, &accepted) }, time.Hour)
	w.run()
	require.True(t, accepted)
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, w.submits, 1)
}

func TestInPlaceDownTakesTheIdleTaskManagersAwayLast(t *testing.T) {
	w := fewer(t)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Less(t, w.index(activities.SoakJob.Name), w.index(activities.ScaleWorkers.Name))
	require.Equal(t, []int{1}, w.workers)
	require.Less(t, w.index(activities.ScaleWorkers.Name), w.index("settled"), "RUNNING before they are gone says nothing")
	require.Contains(t, w.calls[w.index("settled"):], activities.AwaitRunning.Name)
}

// lostBehindItsGate fails the gate of a rescale, and loses the job before the undo
// looks at it.
func lostBehindItsGate(t *testing.T, outcome lease.Outcome) (w *world, commits *[]activities.CommitIn) {
	t.Helper()
	w, commits = rescaling(t), &[]activities.CommitIn{}
	failed := false
	w.env.OnActivity(activities.SoakJob.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
		if failed { // of the submission that comes in its place
			return agentapi.SoakOut{}, nil
		}
		failed = true
		return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.JobFailed, "it restarted"))
	})
	w.env.OnActivity(activities.Commit.Name, anything, anything).Return(func(_ context.Context, in activities.CommitIn) (activities.None, error) {
		*commits = append(*commits, in)
		return activities.None{}, nil
	})
	looks := 0
	w.onCall = func(name string) {
		if !failed || name != activities.ReadLease.Name {
			return
		}
		if looks++; looks == 2 { // the first is the operation's own, which finds the job there
			_, err := w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, outcome, "") })
			require.NoError(t, err)
		}
	}
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 5): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	return w, commits
}

// The undo of a rescale finds the job lost: it is submitted again at its former
// size, and that is what is committed.
func TestAJobThatIsLostAsItsSizeComesBackIsSubmittedAtIt(t *testing.T) {
	w, commits := lostBehindItsGate(t, lease.Failed)
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "it restarted")
	require.Len(t, w.submits, 1)
	require.Equal(t, 2, w.submit(0).Parallelism)
	require.Equal(t, "hdfs://nn/chk-9", w.submit(0).RestorePath)
	require.Equal(t, 2, w.state.Parallelism(3))
	require.Len(t, *commits, 1)
	require.Equal(t, "running", (*commits)[0].State)
	require.Equal(t, w.facts.Target.Current.Profile, (*commits)[0].Profile)
	require.EqualValues(t, 6, (*commits)[0].Epoch)
	require.Nil(t, w.state.Hold)
}

// One that ended by itself is not submitted again.
func TestAJobThatEndsAsItsSizeComesBackStaysEnded(t *testing.T) {
	w, commits := lostBehindItsGate(t, lease.Finished)
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Empty(t, w.submits)
	require.Len(t, *commits, 1)
	require.Equal(t, "stopped", (*commits)[0].State)
	require.Nil(t, w.state.Hold)
}

// Who gives it up isn't asked by the undo again, and the job is committed once, at rest.
func TestGivingUpAJobThatIsLostAsItsSizeComesBack(t *testing.T) {
	w, commits := lostBehindItsGate(t, lease.Failed)
	w.awaits = []answer[agentapi.AwaitOut]{{}, {err: npe}}
	var accepted bool
	w.env.RegisterDelayedCallback(func() { w.decide(upgrade.OptionGiveUp, &accepted) }, time.Hour)
	w.run()
	require.True(t, accepted)
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, *commits, 1)
	require.Equal(t, "stopped", (*commits)[0].State)
}

// Replicas alone: Flink isn't told, and the job that runs on was never down.
func TestMoreTaskManagersAloneAreNoDowntime(t *testing.T) {
	w := rescaling(t)
	w.facts.Target.Profile.Parallelism = w.facts.Target.Current.Applied.Parallelism
	w.targets = []answer[agentapi.TargetsOut]{{out: agentapi.TargetsOut{Before: bothVertices.Before, After: bothVertices.Before}}}
	w.awaits = []answer[agentapi.AwaitOut]{{out: agentapi.AwaitOut{RunningAt: 7}}}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Empty(t, w.told)
	require.Equal(t, []int{2}, w.workers)
	require.Equal(t, "promotion", w.state.Profile)
	require.Zero(t, w.progress(t).DowntimeMS)
}

// The downtime of a restart behind the TaskManagers' end is counted, and only that.
func TestOnlyARestartIsDowntime(t *testing.T) {
	for name, c := range map[string]struct {
		runningAt func(w *world) int64 // behind their end
		downtime  func(int64) bool
	}{
		"none":      {func(*world) int64 { return 50 }, func(ms int64) bool { return ms == 49 }},
		"a restart": {func(w *world) int64 { return w.env.Now().UnixMilli() + 3000 }, func(ms int64) bool { return ms >= 49+1000 }},
	} {
		w := fewer(t)
		w.awaits = []answer[agentapi.AwaitOut]{{out: agentapi.AwaitOut{RunningAt: 50}}, {out: agentapi.AwaitOut{RunningAt: c.runningAt(w)}}}
		w.run()
		require.NoError(t, w.env.GetWorkflowError(), name)
		ms := w.progress(t).DowntimeMS
		require.True(t, c.downtime(ms), "%s: %d", name, ms)
	}
}

func TestARescaleToWhatRunsIsRefused(t *testing.T) {
	w := rescaling(t)
	w.facts.Target.Profile = *w.facts.Target.Current.Applied
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "is what runs already")
	require.Contains(t, w.progress(t).Failure.Next, "sluice op restart")
	require.Nil(t, w.state.Hold)
	require.Equal(t, -1, w.index(activities.PlaceHold.Name))
}

// Where the added TaskManagers can't be told from busy ones the undo goes on all the
// same, and says how the job stands.
func TestTheUndoOfAddedTaskManagersGoesOnWithoutTheAgentsWord(t *testing.T) {
	for name, spare := range map[string]answer[agentapi.SpareOut]{
		"no answer": {err: failure.New(failure.Outdated, "too old")},
		"all busy":  {},
	} {
		w := rescaling(t)
		w.spare = []answer[agentapi.SpareOut]{spare}
		w.env.OnActivity(activities.TakeCheckpoint.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.CheckpointOut, error) {
			return agentapi.CheckpointOut{}, ontemporal.Error(failure.New(failure.Refused, "no checkpoint"))
		})
		w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.Unproven, "RESTARTING for too long")}}
		w.run()
		require.ErrorContains(t, w.env.GetWorkflowError(), "no checkpoint", name)
		require.Equal(t, []int{2, 1}, w.workers, name)
		require.Less(t, w.index(activities.SpareWorkers.Name), w.index("settled"), name)
		require.Contains(t, strings.Join(w.progress(t).Evidence, "; "), "RESTARTING for too long", name)
		require.Nil(t, w.state.Hold, name)
	}
}

func TestNoRoomInPlaceSaysThatNoStrategyNeedsLess(t *testing.T) {
	w := rescaling(t)
	w.env.OnActivity(activities.AwaitGeneration.Name, anything, anything).Return(func(context.Context, activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		return activities.AwaitGenerationOut{}, ontemporal.Error(failure.New(failure.Refused, "there is no room: x").With(failure.NoRoom, "x").WithNext("with another strategy"))
	})
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "there is no room")
	require.Contains(t, w.progress(t).Failure.Next, "a profile with fewer TaskManagers; no other strategy")
	require.Equal(t, []int{2, 1}, w.workers)
	require.Nil(t, w.state.Hold)
}
