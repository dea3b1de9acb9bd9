package api

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

// queryTimeout bounds one look at a workflow: without a worker a query only ends
// by its time.
const queryTimeout = 5 * time.Second

// unknownPhase is shown while nobody can say.
const unknownPhase = "unknown"

// GetOperation shows an operation. With wait it answers as soon as the progress
// is newer than the caller's version, or when the wait is over.
func (a *API) GetOperation(ctx context.Context, request gen.GetOperationRequestObject) (gen.GetOperationResponseObject, error) {
	wait, err := waitTime(request.Params.Wait)
	if err != nil {
		return nil, err
	}
	row, err := a.store.Operation(ctx, request.Tenant, request.Operation)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		row, err = a.await(ctx, row, request.Params.Version, wait)
		if err != nil {
			return nil, err
		}
	}
	return gen.GetOperation200JSONResponse(a.show(ctx, row)), nil
}

func waitTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, failure.New(failure.Invalid, "the wait can't be used").
			WithFields(failure.Field{Name: "wait", Reason: "is not a duration between 0s and 60s", Next: "for example 20s"})
	}
	return wait, nil
}

// await returns when the operation is newer than version, over, or the wait is.
func (a *API) await(ctx context.Context, row store.Operation, version int64, wait time.Duration) (store.Operation, error) {
	if row.Phase.Final() {
		return row, nil
	}
	wctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	first := true
	a.follow(wctx, row, func() (enough bool) {
		progress, err := a.progress(wctx, row)
		early := first && errors.Is(err, errNotReady)
		first = false
		return progress.Version > version || err != nil && !early
	})
	return a.store.Operation(ctx, row.Tenant, row.ID)
}

// follow calls look at once and after each change of an operation's run, until it
// has seen enough, the run has closed, Temporal is away or ctx ends; show says
// which. The history is pushed as it grows: nothing is polled, and a look is
// taken only after a workflow task, the only thing that changes the progress.
func (a *API) follow(ctx context.Context, row store.Operation, look func() (enough bool)) {
	_, seen := a.described(ctx, row)
	if look() {
		return
	}
	history := a.temporal.GetWorkflowHistory(ctx, row.Ref().WorkflowID(), row.Run(), true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		event, err := history.Next()
		if err != nil {
			return
		}
		if event.GetEventId() > seen && changes(event.GetEventType()) && look() {
			return
		}
	}
}

func changes(kind enums.EventType) bool {
	switch kind {
	case enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return true
	default:
		return false
	}
}

// described says whether the run is known to have closed, and its history's length.
func (a *API) described(ctx context.Context, row store.Operation) (closed bool, length int64) {
	answer, err := a.temporal.DescribeWorkflowExecution(ctx, row.Ref().WorkflowID(), row.Run())
	var gone *serviceerror.NotFound
	if err != nil {
		return errors.As(err, &gone), 0
	}
	info := answer.GetWorkflowExecutionInfo()
	return info.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING, info.GetHistoryLength()
}

var (
	// errNotStarted: the lock is another operation's or nobody's.
	errNotStarted = errors.New("not started")
	// errNotReady: the run has not done its first step.
	errNotReady = errors.New("not ready")
)

// progress asks the operation's run. An unclaimed operation has none of its own
// yet: the open run may be another one's.
func (a *API) progress(ctx context.Context, row store.Operation) (upgrade.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var progress upgrade.Progress
	value, err := a.temporal.QueryWorkflow(ctx, row.Ref().WorkflowID(), row.Run(), upgrade.QueryProgress)
	var absent *serviceerror.NotFound
	var early *serviceerror.WorkflowNotReady
	switch {
	case errors.As(err, &absent):
		return progress, errNotStarted
	case errors.As(err, &early):
		return progress, errNotReady
	case err != nil:
		return progress, err
	}
	if err := value.Get(&progress); err != nil {
		return progress, err
	}
	if progress.Operation != row.ID {
		return upgrade.Progress{}, errNotStarted
	}
	return progress, nil
}

// show makes the answer: the stored result after the end, else what the run
// says, else what the row knows.
//
// Final is what the record says: a run that has only decided its end still holds
// the job's lock.
func (a *API) show(ctx context.Context, row store.Operation) gen.Operation {
	if row.Phase.Final() {
		return a.ended(row)
	}
	progress, err := a.progress(ctx, row)
	if closed, _ := a.described(ctx, row); closed && row.Run() != "" {
		return a.closed(ctx, row)
	}
	answer := a.fromRow(row)
	switch {
	case errors.Is(err, errNotStarted) && row.Run() == "":
		answer.ProgressUnavailable = "the operation has not been started: send its request again with the same Idempotency-Key"
	case errors.Is(err, errNotReady):
		answer.ProgressUnavailable = "the operation is about to begin"
	case err != nil:
		answer.Phase = unknownPhase
		answer.ProgressUnavailable = "the workers don't answer: what runs goes on, and is shown when they are back"
	default:
		answer.Progress, answer.Phase = fromProgress(progress), string(progress.Phase)
	}
	return answer
}

// ended shows an operation whose end is on record.
func (a *API) ended(row store.Operation) gen.Operation {
	answer := a.fromRow(row)
	if len(row.Result) > 0 && json.Unmarshal(row.Result, &answer.Progress) != nil {
		answer.ProgressUnavailable = "the stored result can't be read"
	}
	return answer
}

// closed shows an operation whose run has closed since its row was read, or was
// ended from outside (terminated in Temporal) and never wrote its end.
func (a *API) closed(ctx context.Context, row store.Operation) gen.Operation {
	again, err := a.store.Operation(ctx, row.Tenant, row.ID)
	if err == nil && again.Phase.Final() {
		return a.ended(again)
	}
	answer := a.fromRow(row)
	if answer.Phase = unknownPhase; err != nil {
		answer.ProgressUnavailable = recordAway
		return answer
	}
	answer.Final = true
	answer.ProgressUnavailable = "its run was ended from outside, without a record: look at the run in Temporal, the job's Lease and its cluster before anything else"
	if progress, err := a.progress(ctx, row); err == nil {
		answer.Progress = fromProgress(progress)
	}
	return answer
}

func (a *API) fromRow(row store.Operation) gen.Operation {
	answer := gen.Operation{
		Operation: row.ID, Job: gen.JobRef{Tenant: row.Tenant, Name: row.Job}, Kind: string(row.Kind), Phase: string(row.Phase),
		Final: row.Phase.Final(), Request: fromRequest(row.Request), CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt,
		Links: a.operationLinks(row.Ref(), row.ID, row.Run()),
	}
	if row.EndedAt != nil {
		answer.EndedAt = *row.EndedAt
	}
	return answer
}

// fromProgress goes through JSON: both types have the same form, and a test
// keeps it so.
func fromProgress(progress upgrade.Progress) gen.Progress {
	var answer gen.Progress
	data, err := json.Marshal(progress)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err != nil {
		return gen.Progress{Operation: progress.Operation, Phase: string(progress.Phase), Version: progress.Version}
	}
	return answer
}

// ListOperations lists the tenant's operations, newest first.
func (a *API) ListOperations(ctx context.Context, request gen.ListOperationsRequestObject) (gen.ListOperationsResponseObject, error) {
	if err := checkBefore(request.Params.Before); err != nil {
		return nil, err
	}
	limit := pageSize(request.Params.Limit)
	list, err := a.list(ctx, tenantPath(request.Tenant)+"/operations",
		store.OperationFilter{Tenant: request.Tenant, Before: request.Params.Before, Limit: limit})
	return gen.ListOperations200JSONResponse(list), err
}

// ListJobOperations lists a job's operations, newest first.
func (a *API) ListJobOperations(ctx context.Context, request gen.ListJobOperationsRequestObject) (gen.ListJobOperationsResponseObject, error) {
	if err := checkBefore(request.Params.Before); err != nil {
		return nil, err
	}
	ref := job.Ref{Tenant: request.Tenant, Name: request.Job}
	found, err := a.store.Job(ctx, ref)
	if err != nil {
		return nil, err
	}
	limit := pageSize(request.Params.Limit)
	list, err := a.list(ctx, jobPath(ref)+"/operations",
		store.OperationFilter{Tenant: request.Tenant, JobUID: found.UID, Before: request.Params.Before, Limit: limit})
	return gen.ListJobOperations200JSONResponse(list), err
}

func (a *API) list(ctx context.Context, path string, filter store.OperationFilter) (gen.OperationList, error) {
	rows, err := a.store.Operations(ctx, filter)
	if err != nil {
		return gen.OperationList{}, err
	}
	list := gen.OperationList{Items: make([]gen.Operation, len(rows))}
	var open sync.WaitGroup
	slots := make(chan struct{}, 8) // open operations are few, one a job; still, bound the queries
	for i, row := range rows {
		list.Items[i] = a.fromRow(row)
		list.Next = nextPage(path, "before", row.ID, len(rows), filter.Limit)
		if row.Phase.Final() {
			continue
		}
		open.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			list.Items[i] = brief(a.show(ctx, row))
		})
	}
	open.Wait()
	return list, nil
}

// brief leaves out what a list is too narrow for.
func brief(o gen.Operation) gen.Operation {
	o.Progress.Plan, o.Progress.Steps, o.Progress.Evidence = gen.Plan{}, nil, nil
	return o
}
