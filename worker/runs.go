package worker

import (
	"context"
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// describer is the part of Temporal's client that tells of a run.
type describer interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// runs tells the observer which operation has a job's lock.
type runs struct{ temporal describer }

// Open is the operation of the run that is open; "": none is. Only Temporal's own
// word that it knows no such run is one.
func (r runs) Open(ctx context.Context, ref job.Ref) (string, error) {
	described, err := r.temporal.DescribeWorkflowExecution(ctx, ref.WorkflowID(), "")
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return "", nil
	}
	if err != nil {
		return "", failure.Wrap(failure.Unavailable, err, "whether job %s has an open operation can't be read", ref)
	}
	info := described.GetWorkflowExecutionInfo()
	payload, named := info.GetMemo().GetFields()[upgrade.MemoOperation]
	if info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING || !named {
		return "", nil
	}
	var operation string
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &operation); err != nil {
		return "", failure.Wrap(failure.Internal, err, "the memo of job %s can't be read", ref)
	}
	return operation, nil
}
