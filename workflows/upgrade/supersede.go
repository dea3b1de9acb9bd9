package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
)

// MemoOperation is the memo's key of the operation whose run it is: it tells a
// repeat from another operation when the lock is taken.
const MemoOperation = "operation"

// handleDecisions sets the updates by which a waiting operation goes on.
func (r *run) handleDecisions(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateDecide, func(_ workflow.Context, d Decision) error {
		r.take(d)
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(d Decision) error {
		if d.Option == OptionSupersede {
			return ontemporal.Error(failure.New(failure.Refused, "supersede is nothing to decide: another operation does it").
				WithNext("sluice op start %s --supersede %s", r.in.Job.Name, r.in.Operation))
		}
		return r.mayDecide(d.Option)
	}})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateSupersede, func(_ workflow.Context, in Input) error {
		r.successor = &in
		r.take(Decision{OptionSupersede, "operation " + in.Operation})
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(Input) error { return r.mayDecide(OptionSupersede) }})
}

// handOver ends this run and begins that of the operation that takes its place,
// under the same lock.
func (r *run) handOver(ctx workflow.Context) error {
	memo := map[string]any{MemoOperation: r.successor.Operation, "kind": r.successor.Request.Kind, "requestedBy": r.successor.RequestedBy}
	if err := workflow.UpsertMemo(ctx, memo); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, WorkflowName, *r.successor)
}

// introduce sets the search attributes that another operation's run left.
func (r *run) introduce(ctx workflow.Context) {
	err := workflow.UpsertTypedSearchAttributes(ctx,
		AttributeOperation.ValueSet(r.in.Operation), AttributeKind.ValueSet(string(r.in.Request.Kind)), AttributePhase.ValueSet(string(r.progress.Phase)))
	if err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not set", "error", err)
	}
}
