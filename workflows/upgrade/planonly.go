package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// PlanOnly makes the plan that an operation of the same request would make now,
// or refuses as it would, from the same facts by the same code. It takes no
// lock and has no effects: what an operation notes on the way it only reckons
// with, and flow.ReadOnly refuses every activity that isn't a look.
func PlanOnly(ctx workflow.Context, in PlanInput) (Plan, error) {
	r := newRun(ctx, Input{Operation: in.Plan, Job: in.Job, UID: in.UID, Request: in.Request, RequestedBy: in.RequestedBy})
	r.only = &in
	plan, err := r.decide(flow.ReadOnly(ctx))
	return plan, ontemporal.Error(err)
}

// note writes the outcome of an intent onto the Lease; a plan only reckons with it.
func (r *run) note(ctx workflow.Context, epoch int64, outcome lease.Outcome, summary string) (err error) {
	if r.only != nil {
		r.state, err = r.state.Record(epoch, outcome, "")
		return err
	}
	in := activities.RecordOutcomeIn{Identity: r.target.Identity, Epoch: epoch, Outcome: outcome}
	if r.legacy != nil && r.legacy.Epoch == epoch {
		in.Savepoint = r.legacy.Path
	}
	state, err := flow.Do(ctx, r.queue, activities.RecordOutcome, in, summary)
	if err == nil {
		r.state = state
	}
	return err
}

// unapplied puts the plan's own spec in the newest revision's place, under the
// number that applying it would give.
func (r *run) unapplied(target activities.ResolveOut) activities.ResolveOut {
	if r.only == nil || r.only.Spec == nil {
		return target
	}
	digest := r.only.Spec.Digest()
	if digest != target.Revision.Digest {
		target.Revision = job.Revision{Number: target.Revision.Number + 1, Digest: digest, Spec: *r.only.Spec}
	}
	return target
}

// notHeld: an operation holds the job's lock, so a hold that it sees is a dead
// one's (heir.go). A plan sees those of the living.
func (r *run) notHeld() error {
	if r.only == nil || r.state.Hold == nil {
		return nil
	}
	holder := r.state.Hold.Operation
	return failure.New(failure.Busy, "operation %s holds the job's Lease: a plan would be stale when it ends", holder).
		With("operation", holder).WithNext("wait for it (sluice op watch %s), then plan again; when it waits for a decision, decide, or start in its place (--supersede %s), which takes no plan; if its run was ended from outside, only the next operation can take the hold over", holder, holder)
}

// stale refuses a plan that is not the one that was seen.
func stale(seen string, plan Plan) error {
	if seen == "" || seen == plan.Digest {
		return nil
	}
	return failure.New(failure.Conflict, "the plan is stale: %s was seen, now it is %s", seen, plan.Digest).
		With("seen", seen).With("now", plan.Digest).
		WithNext("nothing was changed; look at the plan as it is now (sluice plan), then ask with its digest")
}

// resized says which profile takes the place of which: another one, or the same
// with another content.
func resized(target activities.ResolveOut) []Change {
	before, after := target.Current, target.Profile
	switch {
	case before.Revision == 0:
		return nil
	case before.Profile != after.Name:
		return []Change{{Field: "profile", From: before.Profile, To: after.Name}}
	case before.ProfileDigest != "" && before.ProfileDigest != after.Digest():
		return []Change{{Field: "profile." + after.Name, From: before.ProfileDigest, To: after.Digest()}}
	}
	return nil
}
