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
	"sluice/workflows/upgrade"
)

var away = failure.New(failure.Unavailable, "the agent does not answer")

// silent lets the agents not answer from the first call of an activity on until
// the returned function is called.
func (w *world) silent(from activities.Def[activities.AgentIn, agentapi.AwaitOut]) (again func()) {
	gone := true
	w.env.OnActivity(activities.AgentState.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.State, error) {
		if gone && w.index(from.Name) >= 0 {
			return agentapi.State{}, ontemporal.Error(away)
		}
		return *w.facts.Agent, nil
	})
	w.env.OnActivity(from.Name, anything, anything).Return(func(_ context.Context, in activities.AgentIn) (agentapi.AwaitOut, error) {
		w.called(from.Name)
		if gone {
			return agentapi.AwaitOut{}, ontemporal.Error(away)
		}
		return agentapi.AwaitOut{RestoredPath: in.Command.Await.RestorePath}, nil
	})
	return func() { gone = false }
}

// Somebody hears of it within minutes; the same submission is looked at again when
// the agent answers, and nothing is rolled back for its silence.
func TestASilentAgentIsNoFailedSubmission(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	again := w.silent(activities.AwaitRunning)
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		require.Equal(t, job.Waiting, p.Phase)
		require.Nil(t, p.Rollback)
		again()
	}, 15*time.Minute)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	p := w.progress(t)
	require.Equal(t, job.Committed, p.Phase)
	require.Contains(t, p.Evidence, "retry asked for: the agent answers again")
	for i := range w.submits {
		require.EqualValues(t, 6, w.submit(i).Epoch, "the same submission")
		require.Equal(t, 4, w.submits[i].Generation)
	}
}

// A person may go another way meanwhile.
func TestASilentAgentsSubmissionIsRolledBackByAPersonsWord(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	again := w.silent(activities.AwaitRunning)
	var accepted bool
	w.env.RegisterDelayedCallback(func() {
		w.decide(upgrade.OptionRollback, &accepted)
		again()
	}, 15*time.Minute)
	w.run()
	require.True(t, accepted)
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.NotNil(t, w.progress(t).Rollback)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// On the way back too: what it submitted is looked at again, not ended.
func TestASilentAgentEndsNoSubmissionOfTheWayBack(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	gone, awaits := false, 0
	w.env.OnActivity(activities.AwaitRunning.Name, anything, anything).Return(func(_ context.Context, in activities.AgentIn) (agentapi.AwaitOut, error) {
		if awaits++; awaits == 1 {
			return agentapi.AwaitOut{}, ontemporal.Error(npe)
		}
		if awaits == 2 {
			gone = true
		}
		if gone {
			return agentapi.AwaitOut{}, ontemporal.Error(away)
		}
		return agentapi.AwaitOut{RestoredPath: in.Command.Await.RestorePath}, nil
	})
	w.env.OnActivity(activities.AgentState.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.State, error) {
		if gone {
			return agentapi.State{}, ontemporal.Error(away)
		}
		return *w.facts.Agent, nil
	})
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.NotNil(t, w.progress(t).Rollback)
		gone = false
	}, 30*time.Minute)
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.EqualValues(t, 7, w.state.Epoch, "one submission on the way back")
}

// An agent that answers and still doesn't do what it is told leaves a person longer
// each time to go another way.
func TestAnAgentThatOnlyAnswersLetsAPersonDecide(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.AwaitRunning.Name, anything, anything).Return(func(_ context.Context, in activities.AgentIn) (agentapi.AwaitOut, error) {
		if in.Generation == 4 {
			return agentapi.AwaitOut{}, ontemporal.Error(away)
		}
		return agentapi.AwaitOut{RestoredPath: in.Command.Await.RestorePath}, nil
	})
	var accepted bool
	var again func()
	again = func() {
		if w.progress(t).Phase == job.Waiting {
			w.decide(upgrade.OptionRollback, &accepted)
			return
		}
		w.env.RegisterDelayedCallback(again, 30*time.Second)
	}
	w.env.RegisterDelayedCallback(again, time.Hour)
	w.run()
	require.True(t, accepted)
	require.NotNil(t, w.progress(t).Rollback)
}

// The same of a stop: its trigger stays, so asking again is harmless.
func TestASilentStopAsksAndGoesOnByItself(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	gone, triggers := true, map[string]bool{}
	w.env.OnActivity(activities.AgentState.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.State, error) {
		if gone && len(triggers) > 0 {
			return agentapi.State{}, ontemporal.Error(away)
		}
		return *w.facts.Agent, nil
	})
	finished := stopEnding(w, "FINISHED", savepoint)
	w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(func(ctx context.Context, in activities.AgentIn) (agentapi.StopOut, error) {
		triggers[in.Command.Stop.TriggerID] = true
		if gone {
			return agentapi.StopOut{}, ontemporal.Error(away)
		}
		return finished(ctx, in)
	})
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		gone = false
	}, 15*time.Minute)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, triggers, 1)
	require.Len(t, w.submits, 1)
}

// Temporal ends a run whose history grows too long, with the job down: nothing is
// repeated by itself for ever.
func TestALongHistoryIsNotMadeLongerByItself(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade, DefaultDecision: "retry", DefaultAfterMinutes: 1})
	w.stops = []answer[agentapi.StopOut]{
		{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}, {out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}},
	}
	w.onCall = func(name string) {
		if name == activities.StopJob.Name && len(w.stops) == 1 { // the default was taken once
			w.env.SetCurrentHistoryLength(30_000)
		}
	}
	var accepted bool
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		require.Equal(t, job.Waiting, p.Phase)
		require.Empty(t, p.Default)
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.True(t, accepted, "a person's retry is taken")
	require.NoError(t, w.env.GetWorkflowError())
}
