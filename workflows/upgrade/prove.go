package upgrade

import (
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// proofComes is how long a proof gets to come by itself before a person is asked:
// the kubelet's word on a container, a new JobManager, TaskManagers that find it.
const (
	proofComes = 2 * time.Minute
	proofPause = 3 * time.Second // the first; each is longer, for every look grows the history
	proofLong  = 24 * time.Second
)

// patiently looks until the look is sure, or the proof has not come in time: then
// the last look's error stays.
func patiently(ctx workflow.Context, look func() error) error {
	pause := proofPause
	for limit := workflow.Now(ctx).Add(proofComes); ; pause = min(pause*3/2, proofLong) {
		err := look()
		if err == nil || workflow.Now(ctx).After(limit) {
			return err
		}
		if err := workflow.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// awaitProof is proveOver until the proof is there. That it isn't is no error: the
// intent's outcome tells.
func (r *run) awaitProof(ctx workflow.Context, intent *lease.Intent) error {
	over := r.wait(ctx, "the proof that submission "+strconv.FormatInt(intent.Epoch, 10)+" is over: its JobManager's end, and no TaskManager that runs a task")
	defer over()
	err := patiently(ctx, func() error {
		if err := r.proveOver(ctx, intent); err != nil || r.state.Intent.Outcome.Over() {
			return err
		}
		return failure.New(failure.Unproven, "submission %d is not proven over", intent.Epoch)
	})
	if failure.CodeOf(err) == failure.Unproven {
		return nil
	}
	return err
}

// proveOver closes a submission whose JobManager is lost, where that is proven
// (DESIGN §3, same generation): the container which took the POST is on record as
// ended (by its kubelet's word, by its node that is off, or by a person's), its
// successor doesn't know the job, and no task of it can still run in any
// TaskManager. Without the proof nothing changes.
func (r *run) proveOver(ctx workflow.Context, intent *lease.Intent) error {
	ends, err := r.jobManagerEnds(ctx, intent)
	if err != nil || len(ends) == 0 {
		return err
	}
	now, err := flow.Do(ctx, r.queue, activities.AgentState, r.command(intent.Generation, "state", agentapi.Command{}), "does its successor know the job, are all slots free?")
	if err != nil {
		return err
	}
	if now.FlinkJobID != intent.FlinkJobID || now.JobState != "" || !now.Idle {
		return nil
	}
	how := "ended by " + ends[0].FinishedAt
	if ends[0].Source != "" {
		how += " (" + ends[0].Source + ")"
	}
	r.evidence("container " + intent.JobManagerContainerID + " of the JobManager " + how + "; no TaskManager runs a task")
	return r.note(ctx, intent.Epoch, lease.Closed, "the submission can't run any more")
}
