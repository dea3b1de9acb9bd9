package upgrade_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// A waiting operation whose place another one takes brings the job to rest and
// goes on as that one: the lock is never free in between.
func TestSupersedeHandsTheLockOver(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
	next := upgrade.Input{Operation: "NEXT", Job: w.facts.Target.Identity.Ref, UID: "U", Request: job.Request{Kind: job.Start}}
	var decided, taken bool
	w.env.OnUpsertMemo(map[string]any{upgrade.MemoOperation: "NEXT", "kind": job.Start, "requestedBy": ""}).Return(nil).Once()
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		w.decide(upgrade.OptionSupersede, &decided)
		w.send(upgrade.UpdateSupersede, &taken, next)
	}, time.Hour)
	w.run()
	require.False(t, decided, "only an operation supersedes")
	require.True(t, taken)
	var again *workflow.ContinueAsNewError
	require.True(t, errors.As(w.env.GetWorkflowError(), &again))
	require.Equal(t, "NEXT", w.progress(t).SupersededBy)
	require.Equal(t, job.Failed, w.finished.Phase)
	require.True(t, w.state.Intent.Outcome.Over())
	require.Nil(t, w.state.Hold)
	require.Equal(t, lease.Retired, w.state.Standing(3))
	require.Equal(t, lease.Retired, w.state.Standing(4))
}

func TestAnOperationThatRunsIsNotSuperseded(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	taken := true
	w.onCall = func(string) {
		if w.updates == 0 {
			w.send(upgrade.UpdateSupersede, &taken, upgrade.Input{Operation: "NEXT"})
		}
	}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.False(t, taken)
}

// Nobody decides: the request's default is taken at its time, and the time is shown.
func TestTheDefaultIsTakenAtItsTime(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade, DefaultDecision: "give-up", DefaultAfterMinutes: 90})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		require.Equal(t, job.Waiting, p.Phase)
		require.Equal(t, "give-up", p.Default)
		by, err := time.Parse(time.RFC3339, p.DecideBy)
		require.NoError(t, err)
		require.WithinDuration(t, w.env.Now().Add(time.Minute), by, 2*time.Second)
	}, 89*time.Minute)
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Contains(t, p.Evidence[len(p.Evidence)-1], "nobody decided within 1h30m0s")
	require.Zero(t, w.state.ActiveGeneration())
}

// A default that isn't open is no word for another way.
func TestADefaultThatIsNotOpenWaitsOn(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade, DefaultDecision: "replay", DefaultAfterMinutes: 1})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
	var accepted bool
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Empty(t, w.progress(t).DecideBy)
		w.decide(upgrade.OptionGiveUp, &accepted)
	}, 48*time.Hour)
	w.run()
	require.True(t, accepted)
}
