package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// A job may be stopped in whatever state it is. One that is over already is only
// put to rest. One that can't take a savepoint is canceled, by a person's word, once
// a checkpoint is proven that stays; without one only stateless cancels it.

// lookAtRest looks at what a stop would leave that can't count on a savepoint.
func (r *run) lookAtRest(ctx workflow.Context, facts *Facts) error {
	intent := r.state.Intent
	if r.in.Request.Kind != job.Stop || intent == nil || facts.Agent == nil || mustRun(*facts) == nil && !r.in.Request.WithoutSavepoint {
		return nil
	}
	if !intent.Outcome.Over() && facts.Agent.JobState == "" && facts.Agent.FlinkJobID == intent.FlinkJobID {
		if err := r.proveOver(ctx, intent); err != nil {
			return err
		}
		if r.state.Intent.Outcome.Over() {
			if err := r.lookLeft(ctx); err != nil {
				return err
			}
		}
		facts.Lease.State = r.state
	}
	var err error
	facts.Checkpoint, err = r.checkpointOf(ctx, intent)
	return err
}

// planStop says how a job comes to rest, and what it keeps.
func planStop(f Facts, plan *Plan) error {
	runs := mustRun(f)
	kept, nothing := keeps(f)
	switch {
	case over(f):
		plan.Restore = "what is there: its last submission is over, " + string(f.Lease.State.Intent.Outcome)
		plan.Keeps, plan.Steps = kept, []string{"hold", "keep", "commit"}
		return nil
	case f.Request.Stateless && (runs == nil || lives(f)):
		plan.NoSavepoint, plan.Restore = true, "none: it is canceled without a savepoint; checkpoints that there are stay"
	case runs == nil:
		plan.Restore, plan.Steps = "savepoint taken by this operation", []string{"hold", "stop with savepoint", "verify", "commit"}
		if f.Request.WithoutSavepoint {
			plan.Restore, plan.Keeps = "savepoint taken by this operation; if none succeeds, its newest checkpoint", kept
		}
		return nil
	case !lives(f):
		return runs
	case nothing != nil:
		return leavesNothing(nothing)
	default:
		plan.NoSavepoint, plan.Restore = true, "newest checkpoint when the job has ended: it isn't RUNNING, no savepoint would succeed"
		plan.Keeps = kept
	}
	plan.Steps = []string{"hold", "cancel", "keep", "commit"}
	return nil
}

// over: nothing runs, but its cluster does.
func over(f Facts) bool {
	intent := f.Lease.State.Intent
	return intent != nil && intent.Outcome.Over() && f.Lease.State.ActiveGeneration() != 0
}

// lives: Flink knows the submission, in whatever state.
func lives(f Facts) bool {
	intent := f.Lease.State.Intent
	return intent != nil && f.Agent != nil && f.Agent.FlinkJobID == intent.FlinkJobID && f.Agent.JobState != "" && f.Agent.JobState != "UNKNOWN"
}

// keeps is the snapshot that a start would take if the job ended now; an error
// where there is none.
func keeps(f Facts) (string, error) {
	f.Lease.State, f.Request = atRest(f.Lease.State), job.Request{Kind: job.Start}
	path, err := Restore(f)
	if err == nil && path == "" {
		err = failure.New(failure.Refused, "the job has no snapshot")
	}
	return path, err
}

func leavesNothing(why error) error {
	return failure.New(failure.Refused, "no savepoint would succeed, and no checkpoint would be left to start from: %s", failure.Of(why).Message).
		WithNext("wait until it runs and stop it then; to end it all the same, its state with it: stateless (admins only)")
}

// verifyKept reads what a plan says that it keeps, where a cancel counts on it.
func (r *run) verifyKept(ctx workflow.Context, plan Plan) error {
	if plan.Kind != job.Stop || !plan.NoSavepoint || plan.Keeps == "" {
		return nil
	}
	_, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: plan.Keeps}, "verify the checkpoint that is kept")
	if f := failure.Of(err); err != nil && !f.Retryable() && f.Code != failure.Canceled {
		return leavesNothing(err)
	}
	return err
}

// rest is the operation "stop".
func (r *run) rest(ctx workflow.Context) error {
	over := r.state.Intent.Outcome.Over()
	if err := r.hold(ctx); err != nil {
		return err
	}
	ctx, err := r.pointOfNoReturn(ctx)
	ctx = flow.BoundSilence(ctx)
	switch {
	case err != nil:
		return err
	case over:
		return r.commitRest(ctx)
	case r.progress.Plan.NoSavepoint:
		return r.cancelForGood(ctx)
	case r.in.Request.WithoutSavepoint:
		return r.stopOrCancel(ctx)
	}
	return r.stopForGood(ctx)
}

// stopOrCancel tries the savepoint first.
func (r *run) stopOrCancel(ctx workflow.Context) error {
	r.enter(ctx, job.Stopping)
	out, v, err := r.stopWithSavepoint(ctx)
	switch {
	case err != nil:
		return err
	case v == runsOn:
		r.stopRefused()
		r.evidence("no savepoint: " + out.Cause)
		return r.cancelForGood(ctx)
	case out.Savepoint == "": // it ended meanwhile, as it was to
		return r.commitRest(ctx)
	}
	r.undo.Forget()
	r.transactionsWait(ctx, r.runningSpec())
	if err := r.insist(ctx, func() error { return r.verify(ctx, out.Savepoint) }); err != nil {
		return err
	}
	return r.commitStopped(ctx)
}

// cancelForGood cancels the submission. What it keeps is proven just before: until
// then nothing is lost, and a failure leaves the job as it is.
func (r *run) cancelForGood(ctx workflow.Context) error {
	r.enter(ctx, job.Stopping)
	if err := r.proveKept(ctx); err != nil {
		return err
	}
	r.transactionsWait(ctx, r.runningSpec())
	r.undo.Forget()
	if err := r.insist(ctx, func() error { return r.endLast(ctx) }); err != nil {
		return err
	}
	return r.commitRest(ctx)
}

// proveKept looks once more for what the plan found.
func (r *run) proveKept(ctx workflow.Context) error {
	if r.in.Request.Stateless {
		return nil
	}
	return r.step(ctx, "kept", "HDFS", func() (string, error) {
		found, err := r.checkpointOf(ctx, r.state.Intent)
		if err != nil {
			return "", err
		}
		path := found.Path
		if path == "" && r.state.Intent.Epoch != r.target.Current.Epoch { // it had made none yet
			path = r.progress.Plan.Keeps
		}
		if path == "" {
			return "", leavesNothing(failure.New(failure.Refused, "submission %d has none", r.state.Intent.Epoch))
		}
		_, err = flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: path}, "verify the checkpoint that is kept")
		if f := failure.Of(err); err != nil && !f.Retryable() {
			return "", leavesNothing(err)
		}
		return path, err
	})
}

// commitRest leaves a job stopped whose submission is over without a savepoint.
func (r *run) commitRest(ctx workflow.Context) error {
	r.undo.Forget()
	own, err := r.keep(ctx)
	if err != nil { // a start verifies it anew, and refuses
		r.evidence("what it leaves can't be used as it is: " + failure.Of(err).Error())
	}
	epoch := r.state.Epoch
	if !own { // of an epoch that is committed a start expects a checkpoint
		epoch = max(r.target.Current.Epoch, r.checkpointed)
	}
	return r.settle(ctx, r.current("stopped", epoch), r.old)
}

// keep enters what the submission left into the ledger: a checkpoint of its own that
// Flink retained. One that finished by itself has none. own: not just what it came from.
func (r *run) keep(ctx workflow.Context) (own bool, err error) {
	own = true
	err = r.step(ctx, "keep", "HDFS", func() (string, error) {
		intent := r.state.Intent
		found, err := r.checkpointOf(ctx, intent)
		if err != nil {
			return "", err
		}
		switch {
		case found.Path != "":
		case intent.Outcome != lease.Finished && intent.RestorePath != "" && intent.Epoch != r.target.Current.Epoch:
			own = false
			return intent.RestorePath, nil
		default:
			return "no checkpoint of its own", nil
		}
		read, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: found.Path}, "verify the checkpoint that is kept")
		if err != nil {
			return "", err
		}
		r.enterLedger(ctx, job.Snapshot{Epoch: intent.Epoch, CheckpointID: read.CheckpointID, Path: found.Path, Kind: job.Retained, Operation: r.in.Operation})
		return found.Path, nil
	})
	return own, err
}
