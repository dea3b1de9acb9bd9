package api

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

// recording is a Temporal in which a run that records an incident has the lock; it
// ends when somebody waits for that, unless it is stuck.
type recording struct {
	Temporal
	stuck  bool
	over   bool
	starts int
}

type started struct{ client.WorkflowRun }

func (started) GetRunID() string { return "mine" }

func (r *recording) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	r.starts++
	if !r.over {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("taken", "", "recording")
	}
	return started{}, nil
}

func (r *recording) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{
		Type: &common.WorkflowType{Name: upgrade.RecordingName}, Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
	}}, nil
}

func (r *recording) GetWorkflowHistory(context.Context, string, string, bool, enums.HistoryEventFilterType) client.HistoryEventIterator {
	return r
}

func (r *recording) HasNext() bool { return !r.stuck }

func (r *recording) Next() (*history.HistoryEvent, error) {
	r.over = true
	return &history.HistoryEvent{}, nil
}

var someStart = store.Operation{ID: "OP", Tenant: "shop", Job: "orders", Kind: job.Start}

// What an orphaned hold is, whose, and what to do, stands in the job's last incident.
func TestAHoldWithoutARunIsShown(t *testing.T) {
	shown := fromIncident(store.Incident{ID: "i", Kind: job.IncidentHold, HeldBy: "DEAD", Generation: 3, Epoch: 5, FinishedAt: "2026-11-01T12:00:00Z"})
	require.Equal(t, "hold", shown.Kind)
	require.Equal(t, "DEAD", shown.HeldBy)
	require.Contains(t, shown.What, "operation DEAD held the Lease")
	require.Contains(t, shown.What, "the next operation takes the hold over")
	require.Equal(t, 2026, shown.FinishedAt.Year())
}

// A run that records an incident is no operation: a start waits for its end, and
// neither takes it for its own nor says that the job is busy.
func TestAStartWaitsForARecordingRun(t *testing.T) {
	temporal := &recording{}
	runID, err := assemble(t, nil, temporal).api.startRun(t.Context(), someStart, "dc1")
	require.NoError(t, err)
	require.Equal(t, "mine", runID)
	require.Equal(t, 2, temporal.starts)
}

func TestAStartBehindAStuckRecordingRunIsToldToComeAgain(t *testing.T) {
	_, err := assemble(t, nil, &recording{stuck: true}).api.startRun(t.Context(), someStart, "dc1")
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.Contains(t, failure.Of(err).Message, "incident")
}
