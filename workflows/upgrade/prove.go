package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// proveOver closes a submission whose JobManager is lost, where that is proven
// (DESIGN §3, same generation): the kubelet said that the container which took
// the POST ended, its successor doesn't know the job, and no task of it can
// still run in any TaskManager. Without the proof nothing changes.
func (r *run) proveOver(ctx workflow.Context, intent *lease.Intent) error {
	ends, err := flow.Do(ctx, job.FlowQueue, activities.ContainerEnds, activities.ContainerEndsIn{
		JobUID: r.target.Identity.UID, Generation: intent.Generation, ContainerIDs: []string{intent.JobManagerContainerID},
		After: &activities.Attempt{PodUID: intent.JobManagerPodUID, Container: "jobmanager", Number: intent.JobManagerAttempt},
	}, "did the container of the submission's JobManager end?")
	if err != nil || len(ends.Ends) == 0 {
		return err
	}
	now, err := flow.Do(ctx, r.queue, activities.AgentState, r.command(intent.Generation, "state", agentapi.Command{}), "does its successor know the job, are all slots free?")
	if err != nil {
		return err
	}
	if now.FlinkJobID != intent.FlinkJobID || now.JobState != "" || !now.Idle {
		return nil
	}
	r.evidence("container " + intent.JobManagerContainerID + " of the JobManager ended by " + ends.Ends[0].FinishedAt + "; no TaskManager runs a task")
	return r.note(ctx, intent.Epoch, lease.Closed, "the submission can't run any more")
}
