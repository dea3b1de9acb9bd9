package upgrade_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

const deadStop = "hdfs://nn/sluice/jobs/U/savepoints/DEAD-stop-1"

// orphaned is the world behind an upgrade that was terminated while it held the
// Lease, with its generation 4 standing by.
func orphaned(t *testing.T, kind job.Kind) *world {
	t.Helper()
	w := newWorld(t, job.Request{Kind: kind})
	w.state.Generation = 4
	w.state.Generations = append(w.state.Generations, lease.Generation{Number: 4, Standing: lease.Standby, Operation: "DEAD"})
	w.state.Hold = &lease.Hold{Operation: "DEAD", Epoch: 5, AcknowledgedBy: "p"}
	return w
}

func (w *world) stopSent() {
	w.state.Hold.Stop = &lease.StopSent{FlinkJobID: "F5", TriggerID: "DEADTRIGGER", Directory: deadStop}
}

// It had sent nothing: its hold is taken over, its generation goes before another
// is made, and its late commands find another's hold.
func TestAnUpgradeTakesADeadOperationsHoldOver(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	w.onCall = func(activity string) {
		if activity != activities.StopJob.Name {
			return
		}
		_, err := w.state.Stopping("DEAD", lease.StopSent{FlinkJobID: "F5"})
		require.Equal(t, failure.Refused, failure.CodeOf(err), "a late stop of it is refused")
	}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Less(t, w.index(activities.TakeHold.Name), w.index(activities.RemoveGeneration.Name))
	require.Less(t, w.index(activities.RemoveGeneration.Name), w.index(activities.ApplyGeneration.Name), "it took room")
	require.Less(t, w.index(activities.AcknowledgeHold.Name), w.index(activities.StopJob.Name), "nothing of it is in flight")
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Equal(t, lease.Retired, w.state.Standing(3))
	require.Equal(t, 5, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
	require.Len(t, w.submits, 1)
	require.Contains(t, evidence(w.progress(t)), "the hold of operation DEAD")
}

// What fails before it touched the job leaves it free: nobody is blocked.
func TestATakenHoldIsGivenFreeByAFailure(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	w.prepare = failure.New(failure.JobFailed, "main throws")
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Nil(t, w.state.Hold)
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Equal(t, lease.Retired, w.state.Standing(5))
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// Its stop was under way when the run was planned: nothing is taken.
func TestALateStopOfADeadOperationIsNotTakenOver(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	w.onCall = func(activity string) {
		if activity == activities.TakeHold.Name {
			w.stopSent()
		}
	}
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "the Lease changed since")
	require.Equal(t, "DEAD", w.state.Hold.Operation)
	require.NotNil(t, w.state.Hold.Stop)
	require.Equal(t, -1, w.index(activities.StopJob.Name))
}

func TestAfterADeadOperationsStopOnlyAStopFollows(t *testing.T) {
	for _, kind := range []job.Kind{job.Upgrade, job.Restart, job.Savepoint} {
		w := orphaned(t, kind)
		w.stopSent()
		w.run()
		require.Equal(t, job.Failed, w.progress(t).Phase, kind)
		require.Contains(t, w.progress(t).Failure.Next, "sluice op stop", kind)
		require.Equal(t, "DEAD", w.state.Hold.Operation, kind)
	}
	w := orphaned(t, job.Savepoint)
	w.run()
	require.Contains(t, w.progress(t).Failure.Next, "sluice op restart")
}

// The stop that follows sends the dead one's again, by its ids: there are never two.
func TestAStopBringsADeadOperationsStopToItsEnd(t *testing.T) {
	w := orphaned(t, job.Stop)
	w.stopSent()
	var sent agentapi.StopIn
	stop := func(out agentapi.StopOut) func(context.Context, activities.AgentIn) (agentapi.StopOut, error) {
		return func(_ context.Context, in activities.AgentIn) (agentapi.StopOut, error) {
			sent = *in.Command.Stop
			if out.JobState == "FINISHED" {
				_, err := w.change(func(s lease.State) (lease.State, error) { return s.Record(5, lease.Finished, out.Savepoint) })
				return out, err
			}
			return out, nil
		}
	}
	w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(stop(agentapi.StopOut{Savepoint: savepoint, JobState: "FINISHED"}))
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, "DEADTRIGGER", sent.TriggerID)
	require.Equal(t, deadStop, sent.Directory)
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Nil(t, w.state.Hold)
	require.Nil(t, w.state.Ended, "the stop explains the end")
	require.Equal(t, lease.Retired, w.state.Standing(4))

	w = orphaned(t, job.Stop) // it had failed, and the job runs on: the Lease is free again
	w.stopSent()
	w.env.OnActivity(activities.StopJob.Name, anything, anything).Return(stop(agentapi.StopOut{JobState: "RUNNING", Cause: "no space"}))
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "the job runs on")
	require.Nil(t, w.state.Hold)
}

// Until the dead one's stop is settled, the hold that tells of it stays.
func TestAStopThatFailsEarlyKeepsWhatTheHoldTells(t *testing.T) {
	w := orphaned(t, job.Stop)
	w.stopSent()
	w.env.OnActivity(activities.AcknowledgeHold.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.AcknowledgeOut, error) {
		return agentapi.AcknowledgeOut{}, ontemporal.Error(failure.New(failure.Refused, "an agent of another kind"))
	})
	w.run()
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, "OP", w.state.Hold.Operation)
	require.Equal(t, "DEADTRIGGER", w.state.Hold.Stop.TriggerID)
}

// The dead one's stop has worked: a start goes on from its savepoint, though the
// ledger knows only older ones.
func TestAStartGoesOnFromADeadOperationsSavepoint(t *testing.T) {
	for name, seen := range map[string]func(*world){
		"its end is on the Lease": func(w *world) {
			w.state.Intent.Outcome, w.state.Hold.Stop.Savepoint = lease.Finished, savepoint
		},
		"its end is seen only now": func(w *world) { w.facts.Agent.JobState = "FINISHED" },
		"only its process' end is": func(w *world) {
			w.facts.Agent.JobState, w.facts.Agent.Idle = "", true
			w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := orphaned(t, job.Start)
			w.stopSent()
			seen(w)
			w.facts.Target.EverSnapshot, w.facts.Target.Current.Epoch = true, 5
			w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 3, Path: "older"}}
			w.newest = map[string]activities.FindSnapshotOut{"DEAD-stop-1": {Path: savepoint, CheckpointID: 7}}
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			require.Equal(t, savepoint, w.submits[0].Command.Submit.RestorePath)
			require.Less(t, w.index(activities.RecordSnapshot.Name), w.index(activities.TakeHold.Name), "in the ledger before the Lease may forget it")
			require.Nil(t, w.state.Ended)
			require.Nil(t, w.state.Hold)
			require.Equal(t, lease.Retired, w.state.Standing(4))
		})
	}
}

// It had submitted: what runs isn't what was committed. A stop keeps a savepoint.
func TestWhatADeadOperationSubmittedIsStoppedFirst(t *testing.T) {
	submitted := func(kind job.Kind) *world {
		w := orphaned(t, kind)
		w.stopSent()
		w.state.Epoch, w.state.Intent = 6, &lease.Intent{Epoch: 6, Generation: 4, Operation: "DEAD", FlinkJobID: "F6", RestorePath: savepoint, Outcome: lease.Accepted}
		w.state.Generations[0].Standing, w.state.Generations[1].Standing = lease.Standby, lease.Active
		w.facts.Agent.FlinkJobID = "F6"
		return w
	}
	w := submitted(job.Upgrade)
	w.run()
	require.Contains(t, w.progress(t).Failure.Next, "sluice op stop")
	require.Equal(t, "DEAD", w.state.Hold.Operation)

	w = submitted(job.Stop)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Nil(t, w.state.Hold)
	require.Equal(t, lease.Finished, w.state.Intent.Outcome)
	require.Equal(t, lease.Retired, w.state.Standing(3))
	require.Equal(t, lease.Retired, w.state.Standing(4))

	w = submitted(job.Start) // it failed before its first checkpoint: from where it came, once its agent is quiet
	w.state.Intent.Outcome = lease.Failed
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, savepoint, w.submits[0].Command.Submit.RestorePath)
	require.NotEqual(t, -1, w.index(activities.AcknowledgeHold.Name))
	require.Less(t, w.index(activities.AcknowledgeHold.Name), w.index(activities.SubmitJob.Name), "its POST may have been in flight")
	require.Nil(t, w.state.Hold)

	w = submitted(job.Start) // gone, and nobody saw how: it may have finished
	w.state.Intent.Outcome = lease.Closed
	w.run()
	require.Contains(t, w.progress(t).Failure.Message, "it may have finished by itself")
	require.Equal(t, "DEAD", w.state.Hold.Operation)
}

// A plan has no lock, so it knows of no dead operation.
func TestAPlanTakesNothingOver(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	_, err := w.plans(t, "P1", nil)
	require.Equal(t, failure.Busy, failure.CodeOf(err))
}

// The incident of a hold is evidence; it is no loss of the submission of its epoch.
func TestAnOrphanedHoldIsEvidence(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	in := job.Incident{
		ID: job.HoldIncidentID("U", 5, "DEAD"), Kind: job.IncidentHold, UID: "U", Epoch: 5, Generation: 3, HeldBy: "DEAD", FinishedAt: "2026-11-01T12:00:00Z",
	}
	w.env.RegisterDelayedCallback(func() { w.tell(in) }, 0)
	w.tellAt(activities.AwaitGeneration.Name, in)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Contains(t, evidence(w.progress(t)), "operation DEAD held the Lease (since")
	require.Equal(t, []activities.RecordIncidentIn{{Incident: in, Operation: "OP"}}, w.incidents)
}

// A Lease that another holds, seen by whoever doesn't have the lock, is refused.
func TestOnlyTheLocksHolderInherits(t *testing.T) {
	facts := runningFacts(job.Request{Kind: job.Upgrade})
	facts.Operation, facts.Lease.State.Hold = "OP", &lease.Hold{Operation: "OTHER", Epoch: 5}
	_, err := upgrade.Decide(facts)
	require.Equal(t, failure.Refused, failure.CodeOf(err))
	facts.Heir = true
	_, err = upgrade.Decide(facts)
	require.NoError(t, err)
}

// A dead operation may have left a rescale half done.
func TestAnHeirDoesNotRescaleInPlace(t *testing.T) {
	w := orphaned(t, job.Upgrade)
	w.facts.Request.Strategy = job.InPlace
	w.run()
	require.Contains(t, w.progress(t).Failure.Message, "in the middle of a rescale")
}
