package upgrade_test

import (
	"slices"
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

// crowded is a world in which each wait for pods of the new generation finds no
// room, unless fits says otherwise; the old one's always stand.
func crowded(t *testing.T, request job.Request, fits func(w *world, roles []string) bool) *world {
	t.Helper()
	w := newWorld(t, request)
	on(w, activities.AwaitGeneration, func(in activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		if in.Generation == 3 || fits(w, in.Roles) {
			return activities.AwaitGenerationOut{}, nil
		}
		return activities.AwaitGenerationOut{}, ontemporal.Error(failure.New(failure.Refused, "there is no room: x can't be placed").
			With(failure.NoRoom, "x can't be placed").WithNext("make room"))
	})
	on(w, activities.ScaleDownGeneration, func(in activities.GenerationRef) (activities.None, error) {
		w.called(map[int]string{3: "the old cluster goes", 4: "the new cluster goes"}[in.Generation])
		return activities.None{}, nil
	})
	return w
}

func behindTheStop(w *world, _ []string) bool { return w.index(activities.StopJob.Name) >= 0 }

func never(*world, []string) bool { return false }

var unchecked = map[string]job.Request{
	"asked for cold":    {Kind: job.Upgrade, Strategy: job.Cold, AllowUnchecked: true},
	"went on cold":      {Kind: job.Upgrade, AllowCold: true, AllowUnchecked: true},
	"a restart":         {Kind: job.Restart, AllowCold: true, AllowUnchecked: true},
	"a rescale, if any": {Kind: job.Rescale, Strategy: job.Cold, Profile: "wide", AllowUnchecked: true},
}

func TestWhatDoesntFitAtAllGoesOnUncheckedWhereItMay(t *testing.T) {
	for name, request := range unchecked {
		t.Run(name, func(t *testing.T) {
			w := crowded(t, request, behindTheStop)
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			p := w.progress(t)
			require.Equal(t, job.Committed, p.Phase)
			require.Contains(t, p.Plan.Unchecked, "job graph, state and class loading")
			require.Contains(t, p.Plan.Unchecked, "x can't be placed")
			require.Contains(t, p.Evidence, "on unchecked: "+p.Plan.Unchecked)
			w.inOrder(t, activities.AcknowledgeHold.Name, activities.StopJob.Name, activities.MoveLease.Name,
				activities.PrepareCluster.Name, "the old cluster goes", activities.ApplyGeneration.Name, activities.SubmitJob.Name)
			require.Less(t, w.index(activities.StopJob.Name), w.index(activities.ScaleDownGeneration.Name), "the job was not touched before")
			require.Len(t, w.submits, 1)
			require.Equal(t, 4, w.state.ActiveGeneration())
			require.Equal(t, lease.Retired, w.state.Standing(3))
		})
	}
}

// Without the word for it the job isn't stopped.
func TestWhatDoesntFitAtAllLeavesTheJobAlone(t *testing.T) {
	for name, request := range unchecked {
		t.Run(name, func(t *testing.T) {
			request.AllowUnchecked = false
			w := crowded(t, request, behindTheStop)
			w.run()
			p := w.progress(t)
			require.Equal(t, job.Failed, p.Phase)
			require.Contains(t, p.Failure.Message, "no room")
			require.Contains(t, p.Failure.Next, "make room")
			require.Contains(t, p.Failure.Next, "allowUnchecked")
			require.Empty(t, p.Plan.Unchecked)
			require.Equal(t, -1, w.index(activities.StopJob.Name))
			require.Equal(t, lease.Retired, w.state.Standing(4))
			require.Equal(t, 3, w.state.ActiveGeneration())
		})
	}
}

// Another reason than room is no reason to go on.
func TestOnlyRoomMakesItUnchecked(t *testing.T) {
	w := newWorld(t, unchecked["asked for cold"])
	on(w, activities.AwaitGeneration, func(activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		return activities.AwaitGenerationOut{}, ontemporal.Error(failure.New(failure.Invalid, "image x can't be had"))
	})
	w.run()
	require.Contains(t, w.progress(t).Failure.Message, "image x")
	require.Equal(t, -1, w.index(activities.StopJob.Name))
}

// Where the old TaskManagers' place is too small for the new JobManager, the old
// one's is given too.
func TestTheWholeOldClusterGivesWay(t *testing.T) {
	w := crowded(t, unchecked["went on cold"], func(w *world, _ []string) bool { return slices.Contains(w.calls, "the old cluster goes") })
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	w.inOrder(t, activities.MoveLease.Name, "the old cluster goes", activities.PrepareCluster.Name, activities.SubmitJob.Name)
	once := 0
	for _, call := range w.calls {
		if call == "the old cluster goes" {
			once++
		}
	}
	require.Equal(t, 1, once)
}

// What is found out too late brings the old revision back, in its old place.
func TestWhatIsFoundLateIsRolledBack(t *testing.T) {
	lost := func(w *world) {
		on(w, activities.PrepareCluster, func(activities.AgentIn) (agentapi.PrepareOut, error) {
			return agentapi.PrepareOut{Operators: []agentapi.Operator{{ID: "a", Parallelism: 1}}}, nil
		})
		on(w, activities.ReadState, func(in activities.ReadStateIn) (activities.ReadStateOut, error) {
			require.Equal(t, activities.ReadStateIn{Path: savepoint}, in, "the one that was just taken")
			return activities.ReadStateOut{Path: savepoint, Operators: []activities.StoredOperator{{ID: "b", State: true}}}, nil
		})
	}
	for name, c := range map[string]struct {
		fits    func(*world, []string) bool
		given   func(*world)
		message string
		down    bool // the old JobManager went
	}{
		"job graph":      {behindTheStop, func(w *world) { w.prepare = failure.New(failure.Incompatible, "main failed") }, "main failed", false},
		"agent away":     {behindTheStop, func(w *world) { w.prepare = failure.New(failure.Refused, "no agent") }, "no agent", false},
		"state":          {behindTheStop, lost, "would be lost", false},
		"submission":     {behindTheStop, func(w *world) { w.awaits = []answer[agentapi.AwaitOut]{{err: npe}} }, "NullPointerException", true},
		"no room at all": {never, func(*world) {}, "no room", true},
		"none for TaskManagers": {func(w *world, roles []string) bool {
			return behindTheStop(w, roles) && !slices.Contains(roles, "taskmanager")
		}, func(*world) {}, "no room", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := crowded(t, unchecked["went on cold"], c.fits)
			c.given(w)
			w.run()
			p := w.progress(t)
			require.Equal(t, job.Failed, p.Phase)
			require.Contains(t, p.Failure.Message, c.message)
			require.Equal(t, savepoint, p.Rollback.RestorePath)
			require.True(t, p.Rollback.Exact)
			last := w.submits[len(w.submits)-1]
			require.Equal(t, 3, last.Generation)
			require.Equal(t, "sha256:old", last.Command.Submit.Spec.Artifact)
			require.Equal(t, c.down, slices.Contains(w.calls, "the old cluster goes"))
			w.inOrder(t, activities.StopJob.Name, "the new cluster goes", activities.SubmitJob.Name)
			require.Positive(t, w.index(activities.RestoreGeneration.Name))
			require.Equal(t, 3, w.state.ActiveGeneration())
			require.Equal(t, lease.Retired, w.state.Standing(4))
			require.Nil(t, w.state.Hold)
		})
	}
}

// Nobody asks an agent that never ran: a generation that had no submission needs
// no end.
func TestARollbackFromUncheckedAsksNoAgentThatNeverRan(t *testing.T) {
	w := crowded(t, unchecked["asked for cold"], never)
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Len(t, w.submits, 1)
	for _, name := range []string{activities.PrepareCluster.Name, activities.CloseSubmission.Name, activities.CancelJob.Name} {
		require.Equal(t, -1, w.index(name), name)
	}
}

// Somebody took the old cluster's place meanwhile: the operation waits, open.
func TestARollbackFromUncheckedWaitsForAPerson(t *testing.T) {
	w := newWorld(t, unchecked["asked for cold"])
	full, retried := true, false
	on(w, activities.AwaitGeneration, func(activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		if !full {
			return activities.AwaitGenerationOut{}, nil
		}
		return activities.AwaitGenerationOut{}, ontemporal.Error(failure.New(failure.Refused, "there is no room").With(failure.NoRoom, "x can't be placed"))
	})
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Empty(t, w.submits)
		full = false
		w.decide(upgrade.OptionRetry, &retried)
	}, time.Hour)
	w.run()
	require.True(t, retried)
	require.Len(t, w.submits, 1)
	require.Equal(t, 3, w.submits[0].Generation)
	require.Equal(t, savepoint, w.submit(0).RestorePath)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// The savepoint fails and the job runs on: the pending pods go, nothing else.
func TestUncheckedTooLeavesAJobThatRunsOn(t *testing.T) {
	w := crowded(t, unchecked["asked for cold"], behindTheStop)
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Contains(t, p.Failure.Message, "the job runs on")
	require.Equal(t, -1, w.index(activities.ScaleDownGeneration.Name))
	require.Empty(t, w.submits)
	require.Equal(t, lease.Retired, w.state.Standing(4))
}

// inOrder: the calls came in this order, others between them.
func (w *world) inOrder(t *testing.T, names ...string) {
	t.Helper()
	from := 0
	for _, name := range names {
		at := slices.Index(w.calls[from:], name)
		require.GreaterOrEqual(t, at, 0, "%s in %v", name, w.calls[from:])
		from += at + 1
	}
}
