package upgrade_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// world is the outside of a flow: every activity answers from it, and the order
// of the calls is kept. A test replaces single answers.
type world struct {
	env   *testsuite.TestWorkflowEnvironment
	calls []string
	mutex sync.Mutex // of calls: some activities run side by side
	facts upgrade.Facts
	state lease.State

	stops    []answer[agentapi.StopOut]
	refuse   error // the first submission, before its intent
	posts    []answer[agentapi.SubmitOut]
	newest   map[string]activities.FindSnapshotOut // by directory; else facts.Checkpoint
	awaits   []answer[agentapi.AwaitOut]
	prepare  error
	submits  []activities.AgentIn
	finished activities.FinishIn
	updates  int
	checked  []string // artifacts
	onCall   func(activity string)
	failedAs lease.Outcome // what AwaitRunning's JobFailed leaves on the Lease
	ends     []activities.ContainerEnd
	sizes    []int      // parallelisms that Flink was told
	workers  []int      // numbers of TaskManagers
	named    [][]string // those that are to go
	spare    []answer[agentapi.SpareOut]
	targets  []answer[agentapi.TargetsOut]
	told     []map[string]int // to Flink, by vertex

	incidents []activities.RecordIncidentIn

	rooms    []activities.QuotaRoom // that the namespace's quotas leave
	unheard  []activities.Unheard   // containers of which no kubelet speaks
	declared []activities.DeclareIn // recorded, as a person's word
	noted    int                    // on how many pods' behalf it was noted
}

type answer[T any] struct {
	out T
	err error
}

func next[T any](answers *[]answer[T], otherwise T) (T, error) {
	if len(*answers) == 0 {
		return otherwise, nil
	}
	a := (*answers)[0]
	*answers = (*answers)[1:]
	return a.out, ontemporal.Error(a.err)
}

func on[In, Out any](w *world, def activities.Def[In, Out], answer func(In) (Out, error)) {
	w.env.RegisterActivityWithOptions(func(_ context.Context, in In) (Out, error) {
		w.called(def.Name)
		if w.onCall != nil {
			w.onCall(def.Name)
		}
		return answer(in)
	}, activity.RegisterOptions{Name: def.Name})
}

const savepoint = "hdfs://nn/sluice/jobs/U/savepoints/x/savepoint-1"

func newWorld(t *testing.T, request job.Request) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	w := &world{env: suite.NewTestWorkflowEnvironment(), facts: runningFacts(request), failedAs: lease.Failed}
	w.env.SetTestTimeout(20 * time.Second)
	w.env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second}) // machines under load
	w.env.RegisterWorkflowWithOptions(upgrade.Workflow, workflow.RegisterOptions{Name: upgrade.WorkflowName})
	w.env.RegisterWorkflowWithOptions(upgrade.Recording, workflow.RegisterOptions{Name: upgrade.RecordingName})
	w.env.RegisterWorkflowWithOptions(upgrade.PlanOnly, workflow.RegisterOptions{Name: upgrade.PlanName})
	w.env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Maybe()
	w.state = w.facts.Lease.State
	w.record()
	w.kube()
	w.agent()
	w.hdfs()
	return w
}

// starting is a job that was stopped with a savepoint and is to start again.
func starting(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, job.Request{Kind: job.Start})
	w.state.Intent.Outcome = lease.Finished
	w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 7, Path: savepoint}}
	w.facts.Target.EverSnapshot = true
	return w
}

func (w *world) record() {
	on(w, activities.Claim, func(in activities.ClaimIn) (activities.ClaimOut, error) {
		return activities.ClaimOut{Won: true, RunID: in.RunID}, nil
	})
	on(w, activities.Resolve, func(activities.ResolveIn) (activities.ResolveOut, error) { return w.facts.Target, nil })
	on(w, activities.Snapshots, func(activities.SnapshotsIn) (activities.SnapshotsOut, error) {
		return activities.SnapshotsOut{Snapshots: w.facts.Snapshots}, nil
	})
	on(w, activities.RecordSnapshot, func(activities.RecordSnapshotIn) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.ContainerEnds, func(activities.ContainerEndsIn) (activities.ContainerEndsOut, error) {
		return activities.ContainerEndsOut{Ends: w.ends}, nil
	})
	on(w, activities.RecordIncident, func(in activities.RecordIncidentIn) (activities.None, error) {
		w.incidents = append(w.incidents, in)
		return activities.None{}, nil
	})
	on(w, activities.PastOperations, func(activities.PastIn) (activities.PastOut, error) { return activities.PastOut{}, nil })
	on(w, activities.RecordEnds, func(in activities.DeclareIn) (activities.None, error) {
		w.declared = append(w.declared, in)
		for _, c := range in.Containers {
			w.ends = append(w.ends, activities.ContainerEnd{ContainerID: c.ContainerID, FinishedAt: in.At, Source: in.Source})
		}
		return activities.None{}, nil
	})
	on(w, activities.RecordOutcome, func(in activities.RecordOutcomeIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Record(in.Epoch, in.Outcome, in.Savepoint) })
	})
	on(w, activities.Commit, func(activities.CommitIn) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.Finish, func(in activities.FinishIn) (activities.None, error) {
		w.finished = in
		return activities.None{}, nil
	})
}

// change applies a decision to the world's Lease, as the real activities do.
func (w *world) change(decide func(lease.State) (lease.State, error)) (lease.State, error) {
	state, err := decide(w.state)
	if err == nil {
		w.state = state
	}
	return w.state, ontemporal.Error(err)
}

func (w *world) kube() {
	on(w, activities.ReadLease, func(activities.LeaseIn) (activities.ReadLeaseOut, error) {
		return activities.ReadLeaseOut{Exists: w.facts.Lease.Exists, State: w.state}, nil
	})
	on(w, activities.LookAtQuota, func(activities.QuotaIn) (activities.QuotaOut, error) {
		return activities.QuotaOut{Rooms: w.rooms}, nil
	})
	on(w, activities.UnheardContainers, func(activities.UnheardIn) (activities.UnheardOut, error) {
		return activities.UnheardOut{Containers: w.unheard}, nil
	})
	on(w, activities.DeclareEnded, func(in activities.DeclareIn) (activities.None, error) {
		w.noted += len(in.Containers)
		return activities.None{}, nil
	})
	on(w, activities.ReserveGeneration, func(in activities.LeaseIn) (activities.ReserveOut, error) {
		state, n := w.state.Reserve(in.Operation)
		w.state = state
		return activities.ReserveOut{Generation: n, State: state}, nil
	})
	on(w, activities.PlaceHold, func(in activities.LeaseIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Place(in.Operation, in.Since, in.Released) })
	})
	on(w, activities.TakeHold, func(in activities.TakeHoldIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Take(in.Operation, in.Since, in.Seen) })
	})
	on(w, activities.MoveLease, func(in activities.LeaseIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Move(in.Operation, in.Generation) })
	})
	on(w, activities.ReleaseHold, func(in activities.LeaseIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Release(in.Operation, in.Profile) })
	})
	on(w, activities.NoteSize, func(in activities.NoteSizeIn) (lease.State, error) {
		return w.change(func(s lease.State) (lease.State, error) { return s.Resize(in.Operation, in.Size) })
	})
	on(w, activities.ScaleWorkers, func(in activities.WorkersIn) (activities.None, error) {
		w.workers = append(w.workers, in.Replicas)
		w.named = append(w.named, in.Spare)
		return activities.None{}, nil
	})
	on(w, activities.ScaleDownGeneration, func(activities.GenerationRef) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.RestoreGeneration, func(activities.GenerationRef) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.RestoreWorkers, func(activities.GenerationRef) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.RemoveGeneration, func(in activities.GenerationRef) (activities.None, error) {
		_, err := w.change(func(s lease.State) (lease.State, error) { return s.Retire(in.Generation) })
		return activities.None{}, err
	})
	on(w, activities.ApplyGeneration, func(activities.GenerationIn) (activities.GenerationOut, error) {
		return activities.GenerationOut{}, nil
	})
	on(w, activities.AwaitGeneration, func(in activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		if in.Settled {
			w.called("settled")
		}
		return activities.AwaitGenerationOut{}, nil
	})
	on(w, activities.ScaleDownWorkers, func(activities.GenerationRef) (activities.None, error) { return activities.None{}, nil })
}

func (w *world) agent() {
	on(w, activities.AgentState, func(activities.AgentIn) (agentapi.State, error) { return *w.facts.Agent, nil })
	on(w, activities.PrepareCluster, func(activities.AgentIn) (agentapi.PrepareOut, error) {
		return agentapi.PrepareOut{}, ontemporal.Error(w.prepare)
	})
	on(w, activities.AcknowledgeHold, func(activities.AgentIn) (agentapi.AcknowledgeOut, error) {
		return agentapi.AcknowledgeOut{PodUID: "p"}, nil
	})
	on(w, activities.StopJob, func(in activities.AgentIn) (agentapi.StopOut, error) {
		if _, err := w.change(func(s lease.State) (lease.State, error) {
			return s.Stopping("OP", lease.StopSent{FlinkJobID: in.Command.Stop.FlinkJobID, TriggerID: in.Command.Stop.TriggerID, Directory: in.Command.Stop.Directory})
		}); err != nil {
			return agentapi.StopOut{}, err
		}
		out, err := next(&w.stops, agentapi.StopOut{Savepoint: savepoint, JobState: "FINISHED"})
		if err == nil && out.JobState == "FINISHED" {
			_, err = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Finished, out.Savepoint) })
		}
		return out, err
	})
	on(w, activities.TakeSavepoint, func(activities.AgentIn) (agentapi.SavepointOut, error) {
		return agentapi.SavepointOut{Savepoint: savepoint, JobState: "RUNNING"}, nil
	})
	on(w, activities.SubmitJob, func(in activities.AgentIn) (agentapi.SubmitOut, error) {
		w.submits = append(w.submits, in)
		if refused := w.refuse; refused != nil {
			w.refuse = nil
			return agentapi.SubmitOut{}, ontemporal.Error(refused)
		}
		_, err := w.change(func(s lease.State) (lease.State, error) {
			return s.Intend(lease.Intent{Epoch: in.Command.Submit.Epoch, Generation: in.Generation, Operation: in.Command.Operation,
				FlinkJobID: in.Command.Submit.FlinkJobID, RestorePath: in.Command.Submit.RestorePath})
		})
		if err == nil {
			_, err = next(&w.posts, agentapi.SubmitOut{})
		}
		if err != nil && failure.CodeOf(ontemporal.Failure(err)) == failure.JobFailed {
			_, _ = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Closed, "") })
		}
		return agentapi.SubmitOut{}, err
	})
	on(w, activities.CloseSubmission, func(in activities.AgentIn) (agentapi.CloseOut, error) {
		_, err := w.change(func(s lease.State) (lease.State, error) { return s.Close(in.Command.Operation, in.Command.Close.Epoch) })
		if err == nil {
			_, err = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Closed, "") })
		}
		return agentapi.CloseOut{Outcome: string(lease.Closed)}, err
	})
	on(w, activities.CancelJob, func(in activities.AgentIn) (agentapi.CancelOut, error) {
		if _, err := w.change(func(s lease.State) (lease.State, error) {
			return s.Stopping(in.Command.Operation, lease.StopSent{FlinkJobID: in.Command.Cancel.FlinkJobID})
		}); err != nil {
			return agentapi.CancelOut{}, err
		}
		_, err := w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Canceled, "") })
		return agentapi.CancelOut{JobState: "CANCELED"}, err
	})
	answered := map[string]agentapi.AwaitOut{}
	on(w, activities.AwaitRunning, func(in activities.AgentIn) (agentapi.AwaitOut, error) {
		if out, known := answered[in.Command.ID]; known { // as an agent does
			return out, nil
		}
		out, err := next(&w.awaits, agentapi.AwaitOut{RestoredPath: in.Command.Await.RestorePath})
		if err != nil && failure.CodeOf(ontemporal.Failure(err)) == failure.JobFailed {
			_, _ = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, w.failedAs, "") })
		}
		if err == nil {
			answered[in.Command.ID] = out
		}
		return out, err
	})
	on(w, activities.TakeCheckpoint, func(activities.AgentIn) (agentapi.CheckpointOut, error) {
		return agentapi.CheckpointOut{CheckpointID: 1}, nil
	})
	on(w, activities.ReadTargets, func(activities.AgentIn) (agentapi.TargetsOut, error) { return next(&w.targets, bothVertices) })
	on(w, activities.RescaleJob, func(in activities.AgentIn) (agentapi.RescaleOut, error) {
		w.sizes = append(w.sizes, in.Command.Rescale.To)
		w.told = append(w.told, in.Command.Rescale.Targets)
		return agentapi.RescaleOut{SentAt: 1}, nil
	})
	on(w, activities.SpareWorkers, func(activities.AgentIn) (agentapi.SpareOut, error) {
		return next(&w.spare, agentapi.SpareOut{Pods: []string{"p"}})
	})
	on(w, activities.SoakJob, func(activities.AgentIn) (agentapi.SoakOut, error) { return agentapi.SoakOut{}, nil })
}

func (w *world) hdfs() {
	on(w, activities.CheckArtifacts, func(in activities.CheckArtifactsIn) (activities.None, error) {
		w.checked = in.Digests
		return activities.None{}, nil
	})
	on(w, activities.MakeJobDirectories, func(activities.JobDirectoryIn) (activities.None, error) { return activities.None{}, nil })
	on(w, activities.InspectJobDirectory, func(activities.JobDirectoryIn) (activities.JobDirectoryOut, error) {
		return w.facts.Directory, nil
	})
	on(w, activities.VerifySnapshot, func(activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
		return activities.VerifySnapshotOut{CheckpointID: 7}, nil
	})
	on(w, activities.FindSnapshot, func(in activities.FindSnapshotIn) (activities.FindSnapshotOut, error) {
		for part, found := range w.newest {
			if strings.Contains(in.Directory, part) {
				return found, nil
			}
		}
		return w.facts.Checkpoint, nil
	})
}

func (w *world) run() {
	w.env.ExecuteWorkflow(upgrade.WorkflowName, upgrade.Input{Operation: "OP", Job: w.facts.Target.Identity.Ref, UID: "U", Request: w.facts.Request})
}

func (w *world) progress(t *testing.T) upgrade.Progress {
	t.Helper()
	value, err := w.env.QueryWorkflow(upgrade.QueryProgress)
	require.NoError(t, err)
	var p upgrade.Progress
	require.NoError(t, value.Get(&p))
	return p
}

// update sends an update and keeps whether it was accepted.
func (w *world) update(name string, accepted *bool) {
	w.send(name, accepted, "test")
}

func (w *world) send(name string, accepted *bool, argument any) {
	w.updates++
	w.env.UpdateWorkflow(name, fmt.Sprintf("%s-%d", name, w.updates), &testsuite.TestUpdateCallback{
		OnAccept:   func() { *accepted = true },
		OnReject:   func(error) { *accepted = false },
		OnComplete: func(any, error) {},
	}, argument)
}

const anything = mock.Anything

// stopOf is a stop that found the job ended, with no savepoint.
func stopOf(w *world, outcome lease.Outcome) func(context.Context, activities.AgentIn) (agentapi.StopOut, error) {
	return stopEnding(w, outcome, "")
}

// stopOfSaved is one whose savepoint was complete before.
func stopOfSaved(w *world, outcome lease.Outcome) func(context.Context, activities.AgentIn) (agentapi.StopOut, error) {
	return stopEnding(w, outcome, savepoint)
}

func stopEnding(w *world, outcome lease.Outcome, path string) func(context.Context, activities.AgentIn) (agentapi.StopOut, error) {
	return func(context.Context, activities.AgentIn) (agentapi.StopOut, error) {
		_, err := w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, outcome, path) })
		return agentapi.StopOut{Savepoint: path, JobState: string(outcome)}, err
	}
}

func (w *world) called(what string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.calls = append(w.calls, what)
}

func (w *world) index(call string) int {
	for i, c := range w.calls {
		if c == call {
			return i
		}
	}
	return -1
}

func TestUpgradeStopsOnlyWhenTheNewClusterIsReadyAndSubmitsOnce(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	p := w.progress(t)
	require.Equal(t, job.Committed, p.Phase)
	require.Equal(t, savepoint, p.Savepoint)
	require.Less(t, w.index(activities.PrepareCluster.Name), w.index(activities.StopJob.Name))
	require.Less(t, w.index(activities.AcknowledgeHold.Name), w.index(activities.StopJob.Name))
	require.Less(t, w.index(activities.VerifySnapshot.Name), w.index(activities.SubmitJob.Name))
	require.Less(t, w.index(activities.MoveLease.Name), w.index(activities.SubmitJob.Name))
	require.Less(t, w.index(activities.RecordSnapshot.Name), w.index(activities.Commit.Name))
	require.Len(t, w.submits, 1)
	submit := w.submits[0].Command.Submit
	require.EqualValues(t, 6, submit.Epoch)
	require.Equal(t, job.FlinkJobID("U", 6), submit.FlinkJobID)
	require.Equal(t, savepoint, submit.RestorePath)
	require.Nil(t, w.state.Hold)
	require.Equal(t, 4, w.state.ActiveGeneration())
	require.Equal(t, lease.Retired, w.state.Standing(3))
	require.Equal(t, job.Committed, w.finished.Phase)
}

// Verified beside the move, but before the submission: an unsound savepoint waits
// for a person with nothing submitted.
func TestAnUnsoundSavepointIsNotSubmitted(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.VerifySnapshot.Name, anything, anything).Return(func(context.Context, activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
		return activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.Refused, "a file that _metadata names is missing"))
	})
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Empty(t, w.submits)
		w.env.CancelWorkflow()
	}, time.Hour)
	w.run()
	require.Empty(t, w.submits)
}

// A soak may be begun anew: what it compares the job with was seen before it.
func TestTheSoakComparesWithWhatAwaitSaw(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	seen := agentapi.Traces{Running: 1, Started: 2, Restored: 3}
	w.awaits = []answer[agentapi.AwaitOut]{{out: agentapi.AwaitOut{Traces: seen}}}
	var soak agentapi.SoakIn
	w.env.OnActivity(activities.SoakJob.Name, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.AgentIn) (agentapi.SoakOut, error) {
			soak = *in.Command.Soak
			return agentapi.SoakOut{}, nil
		})
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, seen, soak.Since)
}

// Whatever the operation waits for, Temporal's UI says it, with its beginning.
func TestEveryWaitIsTold(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	told := map[string]string{}
	var one sync.Mutex // some activities run side by side
	w.onCall = func(activity string) {
		one.Lock()
		defer one.Unlock()
		value, err := w.env.QueryWorkflow("__temporal_workflow_metadata")
		if err != nil {
			return
		}
		var metadata sdk.WorkflowMetadata
		if value.Get(&metadata) == nil {
			told[activity] = metadata.GetCurrentDetails()
		}
	}
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	for activity, wait := range map[string]string{
		activities.Resolve.Name: "record store, Lease, HDFS and the running job", activities.ReserveGeneration.Name: "a generation number on the Lease",
		activities.ApplyGeneration.Name: "the API server", activities.AwaitGeneration.Name: "pods of generation 4",
		activities.PrepareCluster.Name: "slots, artifact, job graph and primer", activities.AcknowledgeHold.Name: "the hold on the Lease and its acknowledgement",
		activities.StopJob.Name: "the savepoint, then the job's end", activities.VerifySnapshot.Name: "the savepoint on HDFS; the Lease", activities.MoveLease.Name: "the savepoint on HDFS; the Lease",
		activities.SubmitJob.Name: "Flink's answer to the submission", activities.AwaitRunning.Name: "every vertex RUNNING at its parallelism",
		activities.TakeCheckpoint.Name: "the first checkpoint", activities.SoakJob.Name: "30 s without a restart", activities.Commit.Name: "the record store and the Lease",
	} {
		require.Contains(t, told[activity], "Waiting for: "+wait+" (since ", activity)
	}
}

func TestColdMakesTheWorkersAfterTheStop(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade, Strategy: job.Cold})
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Less(t, w.index(activities.StopJob.Name), w.index(activities.ScaleDownWorkers.Name))
	applies := 0
	for _, c := range w.calls {
		if c == activities.ApplyGeneration.Name {
			applies++
		}
	}
	require.Equal(t, 2, applies, "the JobManager before the stop, the TaskManagers after")
}

func TestPrepareFailureLeavesTheJobAlone(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.prepare = failure.New(failure.Incompatible, "main threw")
	w.run()
	require.Error(t, w.env.GetWorkflowError())
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Equal(t, failure.Incompatible, p.Failure.Code)
	require.Equal(t, -1, w.index(activities.StopJob.Name), "the running job was touched")
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
}

func TestSavepointFailsJobRunsOn(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
	w.run()
	require.Error(t, w.env.GetWorkflowError())
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Contains(t, p.Failure.Message, "disk full")
	require.Nil(t, w.state.Hold)
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Empty(t, w.submits)
}

// A savepoint of a job that runs on is no stop: it asks, and retry reads the
// table again.
func TestASavepointOfARunningJobAsksAndRetryLooksAgain(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{Savepoint: savepoint, JobState: "RUNNING"}}}
	asked := false
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		asked = p.Phase == job.Waiting && p.Retryable && len(p.Evidence) > 0 && len(w.submits) == 0
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.True(t, asked, "it must wait with its evidence and without a submission")
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Len(t, w.submits, 1)
}

// A failed submission is followed, after retry, by a new epoch from the newest
// snapshot that it left.
func TestRetryAfterAFailedSubmissionTakesANewEpoch(t *testing.T) {
	w := starting(t)
	w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.JobFailed, "NullPointerException")}}
	w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-9", CheckpointID: 9}
	w.env.RegisterDelayedCallback(func() {
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 2)
	require.EqualValues(t, 6, w.submits[0].Command.Submit.Epoch)
	require.EqualValues(t, 7, w.submits[1].Command.Submit.Epoch)
	require.Equal(t, "hdfs://nn/chk-9", w.submits[1].Command.Submit.RestorePath)
}

// A job that finishes while it is being proven isn't run a second time.
func TestAJobThatEndsByItselfIsNotSubmittedAgain(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.failedAs = lease.Finished
	w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.JobFailed, "FINISHED")}}
	w.env.RegisterDelayedCallback(func() {
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "ended by itself")
	require.Len(t, w.submits, 1)
	require.Nil(t, w.state.Hold)
	require.Zero(t, w.state.ActiveGeneration())
}

// The JobManager that took the POST is lost. Retry goes on only when its end is
// proven and no task can run; then from the newest snapshot, in a new epoch.
func TestALostJobManagerIsProvenBeforeTheNextSubmission(t *testing.T) {
	w := starting(t)
	lost := failure.New(failure.Unproven, "the JobManager is gone")
	w.awaits = []answer[agentapi.AwaitOut]{{err: lost}, {err: lost}, {err: lost}}
	retry := func() {
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}
	w.env.RegisterDelayedCallback(func() {
		w.facts.Agent = &agentapi.State{JobManager: "up", FlinkJobID: w.state.Intent.FlinkJobID, Idle: true}
		retry()
	}, time.Hour)
	w.env.RegisterDelayedCallback(func() {
		require.EqualValues(t, 6, w.state.Epoch, "without the container's end it is the same submission")
		w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
		w.facts.Agent.Idle = false
		retry()
	}, 2*time.Hour)
	w.env.RegisterDelayedCallback(func() {
		require.EqualValues(t, 6, w.state.Epoch, "while a task may run it is the same submission")
		w.facts.Agent.Idle = true
		retry()
	}, 3*time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.EqualValues(t, 7, w.submits[len(w.submits)-1].Command.Submit.Epoch)
	require.Equal(t, job.Committed, w.progress(t).Phase)
}

// A bounded job may finish during its soak, with its JobManager lost: Flink has
// removed its checkpoints then. From an older snapshot it would repeat everything.
func TestASubmissionWhoseCheckpointsAreGoneIsNotRepeated(t *testing.T) {
	w := starting(t)
	w.env.OnActivity(activities.SoakJob.Name, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
			return agentapi.SoakOut{}, ontemporal.Error(failure.New(failure.Unknown, "the JobManager doesn't know the job any more"))
		})
	w.env.RegisterDelayedCallback(func() {
		w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
		w.facts.Agent = &agentapi.State{JobManager: "up", FlinkJobID: w.state.Intent.FlinkJobID, Idle: true}
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.env.RegisterDelayedCallback(func() {
		require.Equal(t, lease.Closed, w.state.Intent.Outcome)
		require.Equal(t, job.Waiting, w.progress(t).Phase)
		require.Contains(t, w.progress(t).Failure.Message, "left no checkpoint")
		require.Len(t, w.submits, 1)
		w.env.CancelWorkflow()
	}, 2*time.Hour)
	w.run()
}

// A cancel of a savepoint is accepted until the savepoint is there; what is there
// is in the ledger all the same.
func TestACanceledSavepointIsCanceledAndKept(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Savepoint})
	w.facts.Checkpoint = activities.FindSnapshotOut{Path: savepoint, CheckpointID: 9}
	var accepted, late bool
	w.env.OnActivity(activities.TakeSavepoint.Name, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.AgentIn) (agentapi.SavepointOut, error) {
			w.update(upgrade.UpdateCancel, &accepted)
			return agentapi.SavepointOut{Savepoint: savepoint, JobState: "RUNNING"}, nil
		})
	w.onCall = func(name string) {
		if name == activities.VerifySnapshot.Name {
			w.update(upgrade.UpdateCancel, &late)
		}
	}
	w.run()
	require.True(t, accepted)
	require.False(t, late, "behind the savepoint nothing is left to cancel")
	require.Equal(t, job.Canceled, w.progress(t).Phase)
	require.NotEqual(t, -1, w.index(activities.RecordSnapshot.Name))
}

// The cancel is accepted while the last step before the point of no return runs
// to a good end: it must be honoured.
func TestAnAcceptedCancelIsNeverPassedOver(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	var accepted bool
	w.env.OnActivity(activities.AcknowledgeHold.Name, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.AgentIn) (agentapi.AcknowledgeOut, error) {
			w.update(upgrade.UpdateCancel, &accepted) // comes before the activity's answer, which is good all the same
			return agentapi.AcknowledgeOut{PodUID: "p"}, nil
		})
	w.run()
	require.True(t, accepted)
	require.Equal(t, job.Canceled, w.progress(t).Phase)
	require.Equal(t, -1, w.index(activities.StopJob.Name))
	require.Nil(t, w.state.Hold)
	require.Equal(t, 3, w.state.ActiveGeneration())
}

// An undo that fails is not given up: what it leaves behind would block the job.
func TestAFailedUndoAsks(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.prepare = failure.New(failure.Incompatible, "main threw")
	refuse := true
	w.env.OnActivity(activities.RemoveGeneration.Name, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.GenerationRef) (activities.None, error) {
		if refuse {
			return activities.None{}, ontemporal.Error(failure.New(failure.Refused, "no"))
		}
		_, err := w.change(func(s lease.State) (lease.State, error) { return s.Retire(in.Generation) })
		return activities.None{}, err
	})
	asked := false
	w.env.RegisterDelayedCallback(func() {
		asked = w.progress(t).Phase == job.Waiting
		refuse = false
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	require.True(t, asked)
	require.Equal(t, job.Failed, w.progress(t).Phase)
	require.Equal(t, lease.Retired, w.state.Standing(4))
}

func TestCancelBeforeThePointOfNoReturn(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	var accepted bool
	w.env.OnActivity(activities.AwaitGeneration.Name, mock.Anything, mock.Anything).After(time.Hour).Return(activities.AwaitGenerationOut{}, nil).Maybe()
	w.env.RegisterDelayedCallback(func() { w.update(upgrade.UpdateCancel, &accepted) }, time.Minute)
	w.run()
	require.True(t, accepted)
	var canceled *temporal.CanceledError
	require.ErrorAs(t, w.env.GetWorkflowError(), &canceled)
	require.Equal(t, job.Canceled, w.progress(t).Phase)
	require.Equal(t, lease.Retired, w.state.Standing(4))
	require.Equal(t, -1, w.index(activities.StopJob.Name))
}

func TestCancelAfterThePointOfNoReturnIsRejected(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	accepted := true
	w.env.OnActivity(activities.StopJob.Name, mock.Anything, mock.Anything).After(time.Hour).
		Return(agentapi.StopOut{JobState: "RUNNING", Cause: "x"}, nil).Maybe()
	w.env.RegisterDelayedCallback(func() {
		require.False(t, w.progress(t).Cancelable)
		w.update(upgrade.UpdateCancel, &accepted)
	}, time.Minute)
	w.run()
	require.False(t, accepted)
}

func TestALostClaimHasNoEffects(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.env.OnActivity(activities.Claim.Name, mock.Anything, mock.Anything).Return(activities.ClaimOut{RunID: "other"}, nil)
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "belongs to run other")
	require.Empty(t, w.calls)
}

func TestStopStartSavepoint(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Stop})
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Equal(t, 0, w.state.ActiveGeneration())
		require.Equal(t, lease.Finished, w.state.Intent.Outcome)
		require.Nil(t, w.state.Hold)
		require.Empty(t, w.submits)
	})
	t.Run("start from the stop's savepoint", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Start})
		w.facts = stoppedFacts(job.Request{Kind: job.Start}, lease.Finished)
		w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 7, Path: savepoint}}
		w.state = w.facts.Lease.State
		w.state.Generations = []lease.Generation{{Number: 3, Standing: lease.Retired}}
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Len(t, w.submits, 1)
		require.Equal(t, savepoint, w.submits[0].Command.Submit.RestorePath)
	})
	t.Run("savepoint", func(t *testing.T) {
		w := newWorld(t, job.Request{Kind: job.Savepoint})
		w.run()
		require.NoError(t, w.env.GetWorkflowError())
		require.Equal(t, savepoint, w.progress(t).Savepoint)
		require.Equal(t, 3, w.state.ActiveGeneration())
		require.Equal(t, -1, w.index(activities.StopJob.Name))
	})
}
