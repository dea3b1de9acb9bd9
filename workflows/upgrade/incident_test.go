package upgrade_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// befell is the loss of a submission.
func befell(epoch int64) job.Incident {
	return job.Incident{
		ID: job.IncidentID("U", epoch, "containerd://a"), UID: "U", Generation: 3, Epoch: epoch,
		ContainerID: "containerd://a", ExitCode: 137, Reason: "OOMKilled", FinishedAt: "2026-11-01T12:00:00Z",
	}
}

func (w *world) tell(in job.Incident) { w.env.SignalWorkflow(upgrade.SignalIncident, in) }

// tellAt tells an incident once, while an activity runs.
func (w *world) tellAt(activity string, in job.Incident) {
	told := false
	w.onCall = func(name string) {
		if name == activity && !told {
			told = true
			w.tell(in)
		}
	}
}

func evidence(p upgrade.Progress) string { return strings.Join(p.Evidence, "\n") }

func TestAnIncidentWhilePreparingDropsTheNewGeneration(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.AwaitGeneration.Name, mock.Anything, mock.Anything).After(time.Hour).Return(activities.AwaitGenerationOut{}, nil).Maybe()
	w.env.RegisterDelayedCallback(func() { w.tell(befell(5)); w.tell(befell(5)) }, time.Minute)
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "before this operation had touched the job")
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Contains(t, p.Failure.Message, "exit code 137, OOMKilled")
	require.Contains(t, p.Failure.Next, "sluice op start")
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
	require.Equal(t, -1, w.index(activities.StopJob.Name))
	require.Equal(t, []activities.RecordIncidentIn{{Incident: befell(5), Operation: "OP"}}, w.incidents, "told twice, it is one")
}

func TestAnIncidentWhilePlanningEndsItBeforeAnyEffect(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Stop})
	w.tellAt(activities.Resolve.Name, befell(5))
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "before this operation had touched the job")
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, -1, w.index(activities.PlaceHold.Name))
}

func TestAnIncidentEndsASavepoint(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Savepoint})
	w.env.OnActivity(activities.TakeSavepoint.Name, mock.Anything, mock.Anything).After(time.Hour).Return(agentapi.SavepointOut{}, nil).Maybe()
	w.env.RegisterDelayedCallback(func() { w.tell(befell(5)) }, time.Minute)
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Contains(t, w.progress(t).Failure.Message, "OOMKilled")
}

// What befell another submission, another job of the name, or one that is to be
// replaced because it is lost, ends nothing.
func TestAnIncidentThatDoesNotMatterIsEvidence(t *testing.T) {
	former := befell(5)
	former.UID = "FORMER"
	for name, c := range map[string]struct {
		w  *world
		in job.Incident
	}{
		"of an older submission":      {newWorld(t, job.Request{Kind: job.Upgrade}), befell(4)},
		"of a job that was deleted":   {newWorld(t, job.Request{Kind: job.Upgrade}), former},
		"of the job that is to start": {starting(t), befell(5)},
	} {
		t.Run(name, func(t *testing.T) {
			c.w.tellAt(activities.AwaitGeneration.Name, c.in)
			c.w.run()
			require.NoError(t, c.w.env.GetWorkflowError())
			require.Equal(t, job.Committed, c.w.progress(t).Phase)
			require.Contains(t, evidence(c.w.progress(t)), "the JobManager of generation 3")
			require.Len(t, c.w.incidents, 1)
		})
	}
}

// The stop's outcome is not known and a person is asked: the incident may be the
// proof, so the stop table is read again.
func TestAnIncidentRereadsTheStopTable(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	waited := false
	w.env.RegisterDelayedCallback(func() { w.tell(befell(4)) }, time.Hour)
	w.env.RegisterDelayedCallback(func() {
		waited = w.progress(t).Phase == job.Waiting
		w.tell(befell(5))
	}, 2*time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.True(t, waited, "another submission's incident is no answer")
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Len(t, w.submits, 1)
}

// The same where the incident comes before the question.
func TestAnIncidentBeforeTheQuestionIsLookedBehind(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	w.tellAt(activities.StopJob.Name, befell(5))
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, job.Committed, w.progress(t).Phase)
}

func TestAnIncidentOfTheNewSubmissionFailsTheGateAtOnce(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.SoakJob.Name, mock.Anything, mock.Anything).After(time.Hour).Return(agentapi.SoakOut{}, nil).Maybe()
	w.newest = map[string]activities.FindSnapshotOut{job.FlinkJobID("U", 6): {Path: "hdfs://nn/chk-9", CheckpointID: 9}}
	var rollingBack bool
	w.env.RegisterDelayedCallback(func() { w.tell(befell(6)) }, time.Minute)
	w.env.RegisterDelayedCallback(func() { rollingBack = w.progress(t).Phase == job.RollingBack }, 2*time.Minute)
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.True(t, rollingBack, "it doesn't wait until the soak is over")
	require.Contains(t, p.Rollback.Why, "before the submission was proven")
	require.Len(t, w.submits, 2)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

func TestAnIncidentWhileRescaledSubmitsAgain(t *testing.T) {
	w := rescaling(t)
	w.env.OnActivity(activities.SoakJob.Name, mock.Anything, mock.Anything).After(time.Hour).Return(agentapi.SoakOut{}, nil).Maybe()
	w.env.RegisterDelayedCallback(func() {
		w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
		w.facts.Agent = &agentapi.State{JobManager: "up", FlinkJobID: w.state.Intent.FlinkJobID, Idle: true}
		w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-9", CheckpointID: 9}
		w.tell(befell(5))
	}, time.Minute)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
	require.Equal(t, "hdfs://nn/chk-9", w.submits[0].Command.Submit.RestorePath)
}

// A rollback has nothing behind it that an incident could start.
func TestAnIncidentInARollbackIsEvidence(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.awaits = []answer[agentapi.AwaitOut]{{err: npe}}
	w.tellAt(activities.SoakJob.Name, befell(7))
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Contains(t, p.Rollback.Why, "NullPointer")
	require.Contains(t, evidence(p), "(submission 7) ended")
	require.Len(t, w.submits, 2)
}

// An incident that comes with the last step is on record before the run closes.
func TestNoIncidentIsLostAtTheClose(t *testing.T) {
	late := func(w *world) {
		w.env.OnActivity(activities.RecordIncident.Name, mock.Anything, mock.Anything).After(time.Minute).Return(
			func(_ context.Context, in activities.RecordIncidentIn) (activities.None, error) {
				w.incidents = append(w.incidents, in)
				return activities.None{}, nil
			}).Maybe()
	}
	t.Run("committed", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		late(w)
		w.tellAt(activities.Finish.Name, befell(6))
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Len(t, w.incidents, 1)
	})
	t.Run("superseded", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		late(w)
		w.awaits = []answer[agentapi.AwaitOut]{{err: npe}, {err: npe}}
		w.env.OnUpsertMemo(mock.Anything).Return(nil)
		w.tellAt(activities.Finish.Name, befell(6))
		w.env.RegisterDelayedCallback(func() {
			var taken bool
			w.send(upgrade.UpdateSupersede, &taken, upgrade.Input{Operation: "NEXT", Job: w.facts.Target.Identity.Ref, UID: "U", Request: job.Request{Kind: job.Start}})
		}, time.Hour)
		w.run()
		var again *workflow.ContinueAsNewError
		require.True(t, errors.As(w.env.GetWorkflowError(), &again))
		require.Len(t, w.incidents, 1)
	})
	t.Run("the claim is lost", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		late(w)
		w.env.OnActivity(activities.Claim.Name, mock.Anything, mock.Anything).Return(func(context.Context, activities.ClaimIn) (activities.ClaimOut, error) {
			w.tell(befell(5))
			return activities.ClaimOut{RunID: "other"}, nil
		})
		w.run()
		require.ErrorContains(t, w.env.GetWorkflowError(), "belongs to run other")
		require.Len(t, w.incidents, 1)
	})
}

// While the result is written nobody deals with an incident any more: it is on
// record as one that found no operation.
func TestAnIncidentBesideTheResultIsNobodys(t *testing.T) {
	for activity, operation := range map[string]string{activities.SoakJob.Name: "OP", activities.Commit.Name: "", activities.Finish.Name: ""} {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		w.tellAt(activity, befell(4)) // of no submission that matters
		w.run()
		require.NoError(t, w.env.GetWorkflowError(), activity)
		require.Equal(t, []activities.RecordIncidentIn{{Incident: befell(4), Operation: operation}}, w.incidents, activity)
	}
}

// Another job had the name: what befell it is recorded as its own, and neither ends
// the gate of this one's submission nor answers a question about its stop.
func TestAnIncidentOfAFormerJobHasNoEffect(t *testing.T) {
	former := befell(6)
	former.UID = "FORMER"
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.tellAt(activities.SoakJob.Name, former)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Equal(t, []activities.RecordIncidentIn{{Incident: former, Operation: "OP"}}, w.incidents)

	former.Epoch = 5
	w = newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	waits := false
	w.env.RegisterDelayedCallback(func() { w.tell(former) }, time.Hour)
	w.env.RegisterDelayedCallback(func() {
		waits = w.progress(t).Phase == job.Waiting
		w.env.CancelWorkflow()
	}, 2*time.Hour)
	w.run()
	require.True(t, waits)
}

func TestARecordingRunRecordsAllThatItIsTold(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.tellAt(activities.RecordIncident.Name, befell(6))
	w.env.RegisterDelayedCallback(func() { w.tell(befell(5)) }, 0)
	w.env.ExecuteWorkflow(upgrade.RecordingName, befell(5))
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, []activities.RecordIncidentIn{{Incident: befell(5)}, {Incident: befell(6)}}, w.incidents)
}
