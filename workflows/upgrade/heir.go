package upgrade

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// The hold of another operation that a run finds on the Lease is a dead one's: the
// workflow id is the job's lock, the run has it, so the other's run isn't open any
// more (a person terminated it, say). What it did has ended too, once the hold is
// the run's own: its agents' commands are refused from then on, and the
// acknowledgement waits for those in flight. What it had sent before stands on the
// Lease. The run takes the hold over, with that.

// inherits says whether the Lease is held by a dead operation. Who only plans has
// no lock and can't know.
func (r *run) inherits() bool {
	return r.only == nil && r.state.Hold != nil && r.state.Hold.Operation != r.in.Operation
}

// lookLeft finds the savepoint that a dead operation's stop left. A stop that is
// still under way may leave one later: look when the job's end was seen.
func (r *run) lookLeft(ctx workflow.Context) error {
	stop := r.state.Stopped()
	if !r.heir || r.legacy != nil || stop == nil || stop.Directory == "" {
		return nil
	}
	found, err := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: stop.Directory},
		"did the stop of operation "+r.state.Hold.Operation+" leave a savepoint?")
	if err == nil && found.Path != "" {
		r.legacy = &job.Snapshot{Epoch: r.state.Intent.Epoch, CheckpointID: found.CheckpointID, Path: found.Path, Kind: "savepoint", Operation: r.state.Hold.Operation}
	}
	return err
}

// mustInherit says what can follow on a dead operation: where it had only held
// the Lease, or its stop is over, whatever the job allows.
func mustInherit(f Facts) error {
	state := f.Lease.State
	switch kind := f.Request.Kind; {
	case !f.Heir:
		return failure.New(failure.Refused, "the Lease is held by operation %s", state.Hold.Operation).WithNext("wait for it: sluice op watch %s", state.Hold.Operation)
	case kind == job.Start || kind == job.Stop: // they go by what Flink says of the submission itself
		return nil
	case state.Uncommitted():
		return failure.New(failure.Refused, "operation %s submitted the job (submission %d), and its run ended before that was proven", state.Hold.Operation, state.Epoch).
			WithNext("sluice op stop %s, which keeps a savepoint; then sluice op start: it goes on from there", f.Target.Identity.Name)
	case state.Owes():
		return failure.New(failure.Refused, "operation %s had begun to stop the job, and its run ended before the stop did", state.Hold.Operation).
			WithNext("sluice op stop %s brings that stop to its end, or says that the job runs on; then ask again", f.Target.Identity.Name)
	case kind == job.Savepoint:
		return failure.New(failure.Refused, "operation %s holds the Lease, and its run is over", state.Hold.Operation).
			WithNext("a savepoint holds nothing and can't take it over; sluice op restart %s does, and so do upgrade, rescale, rollback and stop", f.Target.Identity.Name)
	}
	return nil
}

// takeOver puts the run's hold in the dead one's place, and removes what that one
// had made: it takes room, and nobody else would.
func (r *run) takeOver(ctx workflow.Context) error {
	if !r.heir {
		return nil
	}
	dead := r.state.Hold.Operation
	r.enter(ctx, job.Preparing)
	r.mayRelease()
	return r.step(ctx, "take over", "the hold of operation "+dead, func() (string, error) {
		if err := r.enterLeft(ctx); err != nil {
			return "", err
		}
		in := activities.TakeHoldIn{Identity: r.target.Identity, Operation: r.in.Operation, Since: workflow.Now(ctx).UTC().Format(time.RFC3339), Seen: r.state}
		state, err := flow.Do(ctx, r.queue, activities.TakeHold, in, "take over the hold of operation "+dead)
		if err != nil {
			return "", err
		}
		r.state = state
		r.evidence("the hold of operation " + dead + ", whose run is over, was taken over")
		removed := 0
		for _, g := range state.Generations {
			if g.Standing != lease.Standby || g.Operation == r.in.Operation {
				continue
			}
			if err := r.remove(ctx, g.Number); err != nil {
				return "", err
			}
			removed++
		}
		return fmt.Sprintf("%d generations removed", removed), nil
	})
}

// enterLeft enters what the dead operation's stop left into the ledger, before the
// Lease may forget it.
func (r *run) enterLeft(ctx workflow.Context) error {
	if r.legacy == nil {
		return nil
	}
	if _, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: r.legacy.Path}, "verify the savepoint that operation "+r.legacy.Operation+" left"); err != nil {
		return snapshotUnusable(Facts{}, r.legacy.Path, err)
	}
	r.enterLedger(ctx, *r.legacy)
	return r.entered(ctx)
}

// mayRelease lets a failure give the hold free, unless a dead operation left
// something that only the hold tells: then it stays, for the next one.
func (r *run) mayRelease() {
	if !r.heir || !r.state.Owes() {
		r.undo.Push("release the hold", r.release)
	}
}

// stopRefused: the stop's own answer is that the job runs on. A dead operation's,
// if it was that one's, is settled by it.
func (r *run) stopRefused() {
	if r.heir && !r.state.Uncommitted() {
		r.undo.Push("release the hold", r.release)
	}
}
