package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
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
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateSupersede, func(ctx workflow.Context, in Input) error {
		if err := r.mayFollow(ctx, in); err != nil {
			return err
		}
		r.successor = &in
		r.take(Decision{OptionSupersede, "operation " + in.Operation})
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(Input) error { return r.mayDecide(OptionSupersede) }})
}

// mayFollow refuses a successor whose plan would fail: this operation would give
// the job up for an operation that does nothing, and nobody would hold the job.
func (r *run) mayFollow(ctx workflow.Context, in Input) error {
	version := workflow.GetVersion(ctx, "check-successor", workflow.DefaultVersion, 2)
	if version == workflow.DefaultVersion {
		return nil
	}
	if version > 1 {
		if state := r.leavesState(ctx); state != nil {
			return ontemporal.Error(failure.Of(state))
		}
	}
	next := newRun(ctx, in)
	next.only, next.after = &PlanInput{}, r
	if _, err := next.decide(flow.ReadOnly(ctx)); err != nil {
		f := failure.Of(err)
		why := failure.New(f.Code, "operation %s waits on: the start that was to take its place would fail: %s", r.in.Operation, f.Message).WithNext("%s", f.Next)
		if f.Next == "" {
			_ = why.WithNext("nothing was changed; mend the cause, then start again with supersede")
		}
		return ontemporal.Error(why)
	}
	return r.mayDecide(OptionSupersede) // another decision may have come meanwhile
}

// presume puts in place of what is so while the operation waits what will be so
// when it has given up: the successor is planned from that.
func (r *run) presume(f *Facts) {
	f.Lease.State = atRest(f.Lease.State)
	f.Target.Current.Epoch = max(f.Target.Current.Epoch, r.checkpointed) // as commitGivenUp does
	if r.entry != nil {
		f.Snapshots = append(f.Snapshots, r.entry.in.Snapshot)
	}
}

// atRest is the Lease of a job that was given up. How its submission ends is
// guessed; where it ends by itself instead, the successor asks (planAsSuccessor).
func atRest(s lease.State) lease.State {
	s.Hold, s.Generations = nil, nil
	if s.Intent != nil && !s.Intent.Outcome.Over() {
		intent := *s.Intent
		if intent.Outcome = lease.Canceled; s.Intent.Outcome == lease.Open {
			intent.Outcome = lease.Closed
		}
		s.Intent = &intent
	}
	return s
}

// planAsSuccessor is plan for an operation that took another one's place. What
// it was checked for may have changed since; the job is at rest by its own asking,
// so that it waits for a person where another start would end.
func (r *run) planAsSuccessor(ctx workflow.Context) error {
	for {
		err := r.plan(ctx)
		if err == nil || failure.CodeOf(err) == failure.Canceled || !r.follows(ctx) {
			return err
		}
		decision, askErr := r.ask(ctx, err, optionRetry, optionStayStopped, optionSupersede)
		if askErr != nil {
			return askErr
		}
		if decision != OptionRetry {
			return err
		}
	}
}

var optionStayStopped = Option{OptionGiveUp, "leave the job stopped, as the operation before left it"}

// follows says whether the run went on from the run of another operation.
func (r *run) follows(ctx workflow.Context) bool {
	return r.in.Request.Kind == job.Start && r.in.Request.Supersede != "" && workflow.GetInfo(ctx).ContinuedExecutionRunID != "" &&
		workflow.GetVersion(ctx, "successor-asks", workflow.DefaultVersion, 1) != workflow.DefaultVersion
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
