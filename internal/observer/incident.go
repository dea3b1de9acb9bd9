package observer

import (
	"context"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/internal/manifest"
)

// Incidents tells a job's flow what befell the job. Telling again is harmless.
type Incidents interface {
	Tell(ctx context.Context, incident job.Incident) error
}

// tell reports the end of a JobManager that had the job's submission. Until that
// is told the end stays pending, and with it the pod's finalizer: it survives us.
func (o *Observer) tell(ctx context.Context, seen Seen) error {
	if seen.Container != string(manifest.JobManager) || seen.Job.Name == "" {
		return nil
	}
	writer := lease.Client{API: o.config.Cluster.CoordinationV1()}
	state, err := writer.Get(ctx, lease.Key{Namespace: seen.Namespace, Name: seen.Job.Name, JobUID: seen.JobUID})
	if code := failure.CodeOf(err); code == failure.NotFound || code == failure.Conflict || code == failure.Refused {
		return nil // no Lease of this job says that it ran there
	}
	if err != nil {
		return err
	}
	incident, ok := incidentOf(state, seen)
	if !ok {
		return nil
	}
	if err := o.config.Incidents.Tell(ctx, incident); err != nil {
		return err
	}
	o.config.Log.WarnContext(ctx, "incident told", "job", incident.Job.String(), "incident", incident.ID, "what", incident.String())
	return nil
}

// incidentOf says whether the end is that of the container which took the
// submission that is to run now, or of a later one in its pod, which proves the
// former's end. One whose answer is still open may run too.
func incidentOf(state lease.State, seen Seen) (job.Incident, bool) {
	intent := state.Intent
	if intent == nil || intent.Outcome.Over() || intent.Generation != state.ActiveGeneration() {
		return job.Incident{}, false
	}
	later := seen.PodUID == intent.JobManagerPodUID && intent.JobManagerAttempt > 0 && seen.Attempt > intent.JobManagerAttempt
	if seen.ContainerID != intent.JobManagerContainerID && !later {
		return job.Incident{}, false
	}
	return job.Incident{
		ID: job.IncidentID(state.JobUID, intent.Epoch, intent.JobManagerContainerID), Job: seen.Job, UID: state.JobUID,
		Generation: intent.Generation, Epoch: intent.Epoch,
		ContainerID: seen.ContainerID, ExitCode: seen.ExitCode, Reason: seen.Reason, FinishedAt: seen.FinishedAt,
	}, true
}
