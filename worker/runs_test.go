package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

type described struct {
	status enums.WorkflowExecutionStatus
	memo   string
	err    error
}

func (d described) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	info := &workflow.WorkflowExecutionInfo{Status: d.status}
	if d.memo != "" {
		payload, err := converter.GetDefaultDataConverter().ToPayload(d.memo)
		if err != nil {
			return nil, err
		}
		info.Memo = &common.Memo{Fields: map[string]*common.Payload{upgrade.MemoOperation: payload}}
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, d.err
}

// That Temporal doesn't answer says nothing of a run.
func TestWhichOperationsRunIsOpen(t *testing.T) {
	const open, terminated = enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	for name, c := range map[string]struct {
		described
		operation string
		code      failure.Code
	}{
		"open":                       {described{open, "OP", nil}, "OP", ""},
		"terminated":                 {described{terminated, "OP", nil}, "", ""},
		"records an incident":        {described{open, "", nil}, "", ""},
		"there never was one":        {described{err: serviceerror.NewNotFound("no such run")}, "", ""},
		"Temporal is away":           {described{err: serviceerror.NewUnavailable("away")}, "", failure.Unavailable},
		"the namespace is not there": {described{err: serviceerror.NewNamespaceNotFound("default")}, "", failure.Unavailable},
	} {
		operation, err := runs{c.described}.Open(t.Context(), job.Ref{Tenant: "shop", Name: "orders"})
		require.Equal(t, c.operation, operation, name)
		require.Equal(t, c.code, failure.CodeOf(err), name)
	}
}
