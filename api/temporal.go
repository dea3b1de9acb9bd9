package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

// Temporal is the part of Temporal's client that the api uses.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	QueryWorkflow(ctx context.Context, workflowID, runID, query string, args ...any) (converter.EncodedValue, error)
	UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, isLongPoll bool, filter enums.HistoryEventFilterType) client.HistoryEventIterator
}

// startTries bounds the race in which the run that held the lock closes between
// our start and our look at it.
const startTries = 3

// startRun starts an operation's workflow under the job's lock and returns its
// run. A run of this very operation is a repeat, of another one Busy.
func (a *API) startRun(ctx context.Context, row store.Operation, site string) (runID string, err error) {
	if row.Request.Supersede != "" {
		if done, err := a.supersede(ctx, row); done || err != nil {
			return "", err
		}
	}
	for range startTries {
		run, err := a.temporal.ExecuteWorkflow(ctx, startOptions(row, site), upgrade.WorkflowName, inputOf(row))
		if err == nil {
			return run.GetRunID(), nil
		}
		var taken *serviceerror.WorkflowExecutionAlreadyStarted
		if !errors.As(err, &taken) {
			return "", unreachable(err, "the operation may or may not have been started")
		}
		held, err := a.holder(ctx, row.Ref(), taken.RunId)
		switch {
		case err != nil:
			return "", err
		case held.operation == row.ID:
			return taken.RunId, nil
		case held.open && held.records: // no operation: its end is near
			if !a.closes(ctx, row.Ref(), taken.RunId) {
				return "", failure.New(failure.Unavailable, "an incident of job %s is just being recorded", row.Ref()).WithNext("send the request again with the same Idempotency-Key")
			}
		case held.open && !a.closing(ctx, row.Ref(), held.operation, taken.RunId):
			return "", a.busy(row.Ref(), held)
		}
	}
	return "", failure.New(failure.Unavailable, "other operations come and go on job %s", row.Ref()).WithNext("send the request again with the same Idempotency-Key")
}

func inputOf(row store.Operation) upgrade.Input {
	return upgrade.Input{Operation: row.ID, Job: row.Ref(), UID: row.JobUID, Request: row.Request, RequestedBy: row.CreatedBy}
}

// supersede asks the run of the waiting operation to bring the job to rest and to
// go on as this one; false where it is over, so that this one simply starts.
func (a *API) supersede(ctx context.Context, row store.Operation) (bool, error) {
	waiting, err := a.store.Operation(ctx, row.Tenant, row.Request.Supersede)
	if err != nil {
		return false, err
	}
	if waiting.Phase.Final() {
		return false, nil
	}
	if waiting.JobUID != row.JobUID || waiting.Run() == "" { // checkRequest said so; with no run named the update would reach whichever is open
		return false, failure.New(failure.Refused, "operation %s holds nothing of job %s whose place could be taken", waiting.ID, row.Ref())
	}
	handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: row.Ref().WorkflowID(), RunID: waiting.Run(), UpdateID: "supersede-" + row.ID, UpdateName: upgrade.UpdateSupersede,
		Args: []any{inputOf(row)}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return err == nil, asked(err, waiting)
}

func startOptions(row store.Operation, site string) client.StartWorkflowOptions {
	ref := row.Ref()
	attributes := []temporal.SearchAttributeUpdate{
		upgrade.AttributeTenant.ValueSet(ref.Tenant), upgrade.AttributeJob.ValueSet(ref.Name), upgrade.AttributeSite.ValueSet(site),
		upgrade.AttributeOperation.ValueSet(row.ID), upgrade.AttributeKind.ValueSet(string(row.Kind)),
		upgrade.AttributePhase.ValueSet(string(job.Planning)),
	}
	if row.Request.Revision > 0 {
		attributes = append(attributes, upgrade.AttributeRevision.ValueSet(int64(row.Request.Revision)))
	}
	return client.StartWorkflowOptions{
		ID: ref.WorkflowID(), TaskQueue: job.FlowQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowTaskTimeout:                      workflowTaskTimeout,
		Memo:                                     map[string]any{upgrade.MemoOperation: row.ID, "kind": row.Kind, "requestedBy": row.CreatedBy},
		TypedSearchAttributes:                    temporal.NewSearchAttributes(attributes...),
		StaticSummary:                            fmt.Sprintf("%s **%s** at %s", row.Kind, ref, site),
		StaticDetails:                            details(row, site),
	}
}

// workflowTaskTimeout is what a worker that was killed while it decided costs a
// stopped job; the default of 10 s is made for slower deciders.
const workflowTaskTimeout = 5 * time.Second

// details are the run's lines in Temporal's UI (markdown).
func details(row store.Operation, site string) string {
	text := fmt.Sprintf("**%s** of job `%s` at site `%s`\n\n- operation `%s`\n- asked for by `%s`\n", row.Kind, row.Ref(), site, row.ID, plainText(row.CreatedBy))
	if row.Request.Revision > 0 {
		text += fmt.Sprintf("- to revision %d\n", row.Request.Revision)
	}
	if row.Request.Profile != "" {
		text += fmt.Sprintf("- with profile `%s`\n", row.Request.Profile)
	}
	if row.Request.Strategy != "" {
		text += fmt.Sprintf("- strategy %s\n", row.Request.Strategy)
	}
	if row.Request.Stateless {
		text += "- **stateless**\n"
	}
	if row.Request.AllowStateLoss {
		text += "- **state may be lost**\n"
	}
	if row.Request.Reason != "" {
		text += fmt.Sprintf("- reason: `%s`\n", plainText(row.Request.Reason))
	}
	return text
}

// holder is the run that has a job's lock.
type holder struct {
	operation string // that it runs; "": none
	open      bool
	records   bool // an incident, and ends
	waits     bool // for a person's decision
}

func (a *API) holder(ctx context.Context, ref job.Ref, runID string) (holder, error) {
	described, err := a.temporal.DescribeWorkflowExecution(ctx, ref.WorkflowID(), runID)
	if err != nil {
		return holder{}, unreachable(err, "job "+ref.String()+" has an operation, but which one can't be read")
	}
	info := described.GetWorkflowExecutionInfo()
	found := holder{open: info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, records: info.GetType().GetName() == upgrade.RecordingName}
	if payload, ok := info.GetMemo().GetFields()[upgrade.MemoOperation]; ok {
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &found.operation)
	}
	var phase job.Phase
	if payload, ok := info.GetSearchAttributes().GetIndexedFields()[upgrade.AttributePhase.GetName()]; ok {
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &phase)
	}
	found.waits = phase == job.Waiting
	return found, nil
}

// closeTime is how long a run may take to close that has nothing left to do: after
// its operation's end is on record one workflow task.
const closeTime = 5 * time.Second

// closing waits for a run whose operation is over to give the lock back, so that
// "watch, then start the next" does not trip over the last step of the first.
func (a *API) closing(ctx context.Context, ref job.Ref, operation, runID string) bool {
	row, err := a.store.Operation(ctx, ref.Tenant, operation)
	if err != nil || !row.Phase.Final() {
		return false
	}
	return a.closes(ctx, ref, runID)
}

// closes waits for a run's end.
func (a *API) closes(ctx context.Context, ref job.Ref, runID string) bool {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	history := a.temporal.GetWorkflowHistory(ctx, ref.WorkflowID(), runID, true, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	if !history.HasNext() {
		return false
	}
	_, err := history.Next()
	return err == nil
}

func (a *API) busy(ref job.Ref, held holder) *failure.Error {
	f := failure.New(failure.Busy, "another operation runs on job %s", ref)
	id := held.operation
	if id == "" {
		return f.WithNext("look at the job's workflow %s in Temporal", ref.WorkflowID())
	}
	f = f.With("operation", id).With("link", operationPath(ref.Tenant, id))
	if held.waits {
		return f.WithNext("it waits for a decision: look at its options (sluice op watch %s) and decide (sluice op decide %s --option NAME); where supersede is one: sluice op start %s --supersede %s", id, id, ref.Name, id)
	}
	return f.WithNext("wait for it (sluice op watch %s) or cancel it (sluice op cancel %s), then ask again", id, id)
}

// unreachable maps a failed call to Temporal; consequence says what is unknown.
func unreachable(err error, consequence string) *failure.Error {
	var exhausted *serviceerror.ResourceExhausted
	var wrong *serviceerror.InvalidArgument
	var namespace *serviceerror.NamespaceNotFound
	var denied *serviceerror.PermissionDenied
	switch {
	case errors.As(err, &exhausted):
		return failure.Wrap(failure.Unavailable, err, "Temporal is overloaded: %s", consequence)
	case errors.As(err, &wrong), errors.As(err, &namespace), errors.As(err, &denied):
		// Not set up for us: search attributes, namespace or rights are missing. No
		// repeat helps; the log says which.
		return failure.Wrap(failure.Internal, err, "Temporal refuses us")
	}
	return failure.Wrap(failure.Unavailable, err, "Temporal can't be reached: %s", consequence)
}

// asked maps the answer to an update: what the workflow itself said is kept.
func asked(err error, row store.Operation) error {
	var application *temporal.ApplicationError
	var gone *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case errors.As(err, &application):
		return ontemporal.Failure(err).With("operation", row.ID)
	case errors.As(err, &gone):
		return failure.New(failure.Refused, "operation %s is over, or was never started", row.ID).With("operation", row.ID)
	}
	return unreachable(err, "the request may or may not have arrived").WithNext("look at the operation, then send it again")
}
