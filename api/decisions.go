package api

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

// decisionTimeout bounds an update: without a worker it only ends by its time.
const decisionTimeout = 15 * time.Second

// CancelOperation cancels before the point of no return; after it the workflow
// rejects that with the reason.
func (a *API) CancelOperation(ctx context.Context, request gen.CancelOperationRequestObject) (gen.CancelOperationResponseObject, error) {
	answer, err := a.decide(ctx, request.Tenant, request.Operation, upgrade.UpdateCancel, reasonOf(request.Body))
	return gen.CancelOperation202JSONResponse(answer), err
}

// RetryOperation tells a waiting operation to try its step again.
func (a *API) RetryOperation(ctx context.Context, request gen.RetryOperationRequestObject) (gen.RetryOperationResponseObject, error) {
	answer, err := a.decide(ctx, request.Tenant, request.Operation, upgrade.UpdateRetry, reasonOf(request.Body))
	return gen.RetryOperation202JSONResponse(answer), err
}

// DecideOperation tells a waiting operation which of its ways on to take.
func (a *API) DecideOperation(ctx context.Context, request gen.DecideOperationRequestObject) (gen.DecideOperationResponseObject, error) {
	if err := mayChoose(caller(ctx).Role, request.Body.Option, request.Body.Reason); err != nil {
		return nil, err
	}
	choice := upgrade.Decision{Option: request.Body.Option, Reason: by(ctx, request.Body.Reason)}
	answer, err := a.decideOn(ctx, request.Tenant, request.Operation, upgrade.UpdateDecide, request.Body.Reason, choice)
	return gen.DecideOperation202JSONResponse(answer), err
}

// mayChoose keeps the word that takes a proof's place to admins, and asks them why
// they say it.
func mayChoose(is role, option, reason string) error {
	switch {
	case option != upgrade.OptionDeclareDead:
		return nil
	case is < admin:
		return failure.New(failure.Forbidden, "%s needs the role admin: if a container that is declared dead runs on, two copies of the job write", option).
			WithNext("have its node tainted out of service (docs/operations.md, A node that is lost), or ask an admin")
	case strings.TrimSpace(reason) == "":
		return failure.New(failure.Invalid, "%s needs a reason: it is kept as the proof", option).
			WithFields(failure.Field{Name: "/reason", Reason: "is empty", Next: "say how you know that the machine is off"})
	}
	return nil
}

func reasonOf(body *gen.Decision) string {
	if body == nil {
		return ""
	}
	return body.Reason
}

func (a *API) decide(ctx context.Context, tenant, id, update, reason string) (gen.Operation, error) {
	return a.decideOn(ctx, tenant, id, update, reason, by(ctx, reason))
}

func (a *API) decideOn(ctx context.Context, tenant, id, update, reason string, argument any) (gen.Operation, error) {
	// The same limits as an operation's reason.
	if wrong := (job.Request{Kind: job.Stop, Reason: reason}).Validate(); len(wrong) > 0 {
		return gen.Operation{}, failure.New(failure.Invalid, "the reason can't be used").WithFields(wrong...)
	}
	row, err := a.store.Operation(ctx, tenant, id)
	if err != nil {
		return gen.Operation{}, err
	}
	if row.Phase.Final() {
		return gen.Operation{}, failure.New(failure.Refused, "operation %s is over (%s)", id, row.Phase).With("operation", id)
	}
	if err := a.update(ctx, row, update, argument); err != nil {
		return gen.Operation{}, err
	}
	row, err = a.store.Operation(ctx, tenant, id)
	if err != nil {
		return gen.Operation{}, err
	}
	return a.show(ctx, row), nil
}

// by adds who decided: the workflow keeps the text as evidence.
func by(ctx context.Context, reason string) string {
	if reason == "" {
		return "by " + caller(ctx).Subject
	}
	return reason + " (by " + caller(ctx).Subject + ")"
}

func (a *API) update(ctx context.Context, row store.Operation, name string, argument any) error {
	if row.Run() == "" { // else the update could reach another operation's run
		return failure.New(failure.Refused, "operation %s has not begun yet", row.ID).With("operation", row.ID).WithNext("try again in a moment")
	}
	ctx, cancel := context.WithTimeout(ctx, decisionTimeout)
	defer cancel()
	handle, err := a.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: row.Ref().WorkflowID(), RunID: row.Run(), UpdateName: name, Args: []any{argument},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return asked(err, row)
}
