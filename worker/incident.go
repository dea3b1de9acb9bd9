package worker

import (
	"context"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// signaler is the part of Temporal's client that tells an incident.
type signaler interface {
	SignalWithStartWorkflow(ctx context.Context, workflowID, signalName string, signalArg any, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// incidents tells the run that is open under a job's lock, or starts one that
// records it: nobody need know which, and between the two none is lost.
type incidents struct {
	temporal signaler
	site     string
}

// Tell sends an incident; whoever gets it twice knows it by its id.
func (i incidents) Tell(ctx context.Context, incident job.Incident) error {
	options := client.StartWorkflowOptions{
		ID: incident.Job.WorkflowID(), TaskQueue: job.FlowQueue,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			upgrade.AttributeTenant.ValueSet(incident.Job.Tenant), upgrade.AttributeJob.ValueSet(incident.Job.Name),
			upgrade.AttributeSite.ValueSet(i.site), upgrade.AttributeKind.ValueSet(upgrade.RecordingName),
		),
		StaticSummary: fmt.Sprintf("incident of **%s** at %s", incident.Job, i.site),
		StaticDetails: incident.String() + "\n\nNo operation was open: it is recorded.",
	}
	_, err := effect.Do(ctx, effect.TellIncident, incident.ID, func(ctx context.Context) (client.WorkflowRun, error) {
		return i.temporal.SignalWithStartWorkflow(ctx, options.ID, upgrade.SignalIncident, incident, options, upgrade.RecordingName, incident)
	})
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "the incident of job %s can't be told", incident.Job)
	}
	return nil
}
