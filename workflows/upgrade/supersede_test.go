package upgrade_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
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

// supersede asks for a start in the waiting operation's place, and keeps the answer.
func (w *world) supersede(next upgrade.Input, answered *error) {
	w.updates++
	w.env.UpdateWorkflow(upgrade.UpdateSupersede, "next", &testsuite.TestUpdateCallback{
		OnAccept: func() {}, OnReject: func(err error) { *answered = err }, OnComplete: func(_ any, err error) { *answered = err },
	}, next)
}

// What a start needs is known before the operation that holds the job lets it go.
func TestASuccessorThatWouldFailIsRefusedAndTheOperationWaitsOn(t *testing.T) {
	for name, c := range map[string]struct {
		request job.Request
		breaks  func(w *world, broken *bool)
		says    string
	}{
		"a plan that nobody can have seen": {job.Request{Kind: job.Start, PlanDigest: "sha256:seen"}, func(*world, *bool) {}, "stale"},
		"a snapshot that can't be taken": {job.Request{Kind: job.Start, FromSnapshot: "hdfs://nn/x/y"}, func(w *world, _ *bool) {
			on(w, activities.InspectForeign, func(activities.ForeignIn) (activities.ForeignOut, error) {
				return activities.ForeignOut{}, ontemporal.Error(failure.New(failure.Refused, "no _metadata"))
			})
		}, "no _metadata"},
		"an engine that is too old": {job.Request{Kind: job.Start}, func(w *world, broken *bool) {
			w.env.OnActivity(activities.VerifySnapshot.Name, mock.Anything, mock.Anything).Return(
				func(context.Context, activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
					out := activities.VerifySnapshotOut{CheckpointID: 7}
					if *broken {
						out.Version = 99
					}
					return out, nil
				})
		}, "a newer Flink wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, job.Request{Kind: job.Upgrade})
			w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
			next := upgrade.Input{Operation: "NEXT", Job: w.facts.Target.Identity.Ref, UID: "U", Request: c.request}
			var answered error
			var before lease.State
			var gaveUp, broken bool
			c.breaks(w, &broken)
			w.env.RegisterDelayedCallback(func() {
				require.Equal(t, job.Waiting, w.progress(t).Phase)
				before, broken = w.state, true
				w.supersede(next, &answered)
			}, time.Hour)
			w.env.RegisterDelayedCallback(func() {
				require.ErrorContains(t, answered, c.says)
				require.ErrorContains(t, answered, "waits on")
				require.Equal(t, job.Waiting, w.progress(t).Phase)
				require.Empty(t, w.progress(t).SupersededBy)
				require.Equal(t, before, w.state)
				w.decide(upgrade.OptionGiveUp, &gaveUp)
			}, 2*time.Hour)
			w.run()
			require.True(t, gaveUp)
			var again *workflow.ContinueAsNewError
			require.False(t, errors.As(w.env.GetWorkflowError(), &again))
		})
	}
}

// What a successor was checked for may change before its turn. Nobody is left with a
// job that is down by a word that was to start it.
func TestASuccessorWhosePlanFailsAsks(t *testing.T) {
	w := starting(t)
	w.facts.Request.Supersede = "OLD"
	w.env.SetContinuedExecutionRunID("before")
	gone := true
	w.env.OnActivity(activities.VerifySnapshot.Name, mock.Anything, mock.Anything).Return(func(context.Context, activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
		if gone {
			return activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.NotFound, "the snapshot is gone"))
		}
		return activities.VerifySnapshotOut{CheckpointID: 7}, nil
	})
	asked := false
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		asked = p.Phase == job.Waiting && len(p.Options) == 3
		gone = false
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.True(t, asked)
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
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
