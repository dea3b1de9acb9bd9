package upgrade

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

var (
	optionReplay = Option{OptionReplay, "roll back to the savepoint; what was published after it is published again"}
)

// rollback brings the old revision back, on its own cluster that still stands
// (DESIGN §4.9). Where that fails too the operation waits, open, for a decision:
// it never ends with a job silently down.
func (r *run) rollback(ctx workflow.Context, cause error) error {
	why := failure.Of(cause)
	r.progress.Rollback = &Rollback{Why: why.Message}
	r.evidence("rolling back: " + why.Error())
	r.enter(ctx, job.RollingBack)
	for {
		err := r.back(ctx)
		if err == nil && r.ended() {
			return r.commitEnded(ctx)
		}
		if err == nil {
			break
		}
		decision, err := r.ask(ctx, err, r.ways()...)
		if err != nil {
			return err
		}
		switch decision {
		case OptionReplay:
			r.again, r.silent = true, false
		case OptionGiveUp, OptionSupersede:
			return r.giveUp(ctx, why)
		}
	}
	if err := r.commitBack(ctx); err != nil {
		return err
	}
	return why
}

// ways are what a person may decide while the rollback can't go on.
func (r *run) ways() []Option {
	ways := []Option{{OptionRetry, "try the rollback again"}}
	if r.unfit != "" && !r.again && r.in.Request.Replay != job.ReplayDeny {
		ways = append(ways, optionReplay)
	}
	return append(ways, optionGiveUp, optionSupersede)
}

// giveUp brings the job to rest, with its snapshots: the end of an operation that
// a person ended, or that another one takes the place of.
func (r *run) giveUp(ctx workflow.Context, why error) error {
	r.leaving = true
	if err := r.insist(ctx, func() error { return r.endLast(ctx) }); err != nil {
		return err
	}
	if err := r.commitGivenUp(ctx); err != nil {
		return err
	}
	return why
}

// back is one try: the submission that is on the Lease now comes to a proven
// end, then the old revision goes on from the newest snapshot of its lineage.
func (r *run) back(ctx workflow.Context) error {
	for {
		if !r.silent { // else what was submitted may run: the same is looked at again
			if err := r.goBack(ctx); err != nil || r.ended() {
				return err
			}
		}
		err := r.attempt(ctx)
		r.silent = failure.CodeOf(err) == failure.Unavailable
		if err == nil || r.endedMeanwhile(ctx, err) {
			return nil
		}
		code := failure.CodeOf(err)
		if r.published == nil || r.restore != r.published.To || code != failure.JobFailed && code != failure.Incompatible {
			return err
		}
		// The old revision doesn't run from what the new one left: another snapshot
		// is looked for, once what was just submitted is over.
		r.evidence(fmt.Sprintf("the old revision doesn't run from %s: %s", r.restore, failure.Of(err).Message))
		r.unfit = r.restore
	}
}

// goBack ends what is on the Lease and reserves the old revision's next submission.
func (r *run) goBack(ctx workflow.Context) error {
	if err := r.endLast(ctx); err != nil || r.ended() {
		return err
	}
	r.side = side{r.old, job.Revision{Number: r.target.Current.Revision, Digest: r.target.Current.Digest, Spec: r.runningSpec()}, 0, false}
	if err := r.choose(ctx); err != nil {
		return err
	}
	return r.moveTo(ctx, r.bringWorkersBack)
}

func (r *run) endLast(ctx workflow.Context) error {
	return r.step(ctx, "end", "the proven end of the submission on the Lease", func() (string, error) {
		if err := r.endSubmission(ctx); err != nil {
			return "", err
		}
		if r.state.Intent == nil {
			return "nothing was ever submitted", nil
		}
		return fmt.Sprintf("submission %d: %s", r.state.Intent.Epoch, r.state.Intent.Outcome), nil
	})
}

// endSubmission brings the Lease's submission to a proven end, whatever it is
// doing: one whose answer is unknown is closed, one that runs is canceled, one
// whose JobManager is lost needs the proof of that.
func (r *run) endSubmission(ctx workflow.Context) error {
	read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease")
	if err != nil {
		return err
	}
	r.state = read.State
	intent := r.state.Intent
	if intent == nil && r.state.Epoch == 0 {
		return nil
	}
	if intent == nil {
		return failure.New(failure.Refused, "the Lease has no submission any more: somebody changed it")
	}
	if intent.Outcome.Over() {
		return nil
	}
	err = r.endBy(ctx, intent)
	if code := failure.CodeOf(err); code == failure.Unknown || code == failure.Unproven {
		if proof := r.awaitProof(ctx, intent); proof != nil {
			return proof
		}
		if r.state.Intent.Outcome.Over() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if read, err = flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease"); err != nil {
		return err
	}
	r.state = read.State
	if !r.state.Intent.Outcome.Over() {
		return failure.New(failure.Unproven, "submission %d is %s: its end isn't on the Lease", intent.Epoch, r.state.Intent.Outcome)
	}
	return nil
}

// endBy asks the agent of the submission's generation.
func (r *run) endBy(ctx workflow.Context, intent *lease.Intent) error {
	if intent.Outcome == lease.Open {
		in := agentapi.CloseIn{Epoch: intent.Epoch, FlinkJobID: intent.FlinkJobID}
		out, err := flow.Do(ctx, r.queue, activities.CloseSubmission, r.command(intent.Generation, fmt.Sprintf("close-e%d", intent.Epoch), agentapi.Command{Kind: agentapi.Close, Close: &in}),
			fmt.Sprintf("close submission %d: it isn't wanted any more", intent.Epoch))
		if err != nil || lease.Outcome(out.Outcome) != lease.Accepted {
			return err
		}
	}
	in := agentapi.CancelIn{FlinkJobID: intent.FlinkJobID}
	_, err := flow.Do(ctx, r.queue, activities.CancelJob, r.command(intent.Generation, fmt.Sprintf("cancel-e%d", intent.Epoch), agentapi.Command{Kind: agentapi.Cancel, Cancel: &in}),
		fmt.Sprintf("cancel submission %d; its checkpoints stay", intent.Epoch))
	return err
}

// choose sets the snapshot from which the old revision goes on: the newest of
// the lineage of the submission that ended. What the new revision published
// behind the savepoint is in its own snapshots; where the old one doesn't run
// from them only the savepoint is left, and then output is repeated: that takes
// the policy's or a person's word.
func (r *run) choose(ctx workflow.Context) error {
	return r.step(ctx, "choose", "HDFS", func() (string, error) {
		last := r.state.Intent
		found, err := r.checkpointOf(ctx, last)
		if err != nil {
			return "", err
		}
		if last.Generation == r.generation && found.Path != "" { // the new revision published
			r.published = &Replay{From: r.base, To: found.Path, Epoch: last.Epoch, CheckpointID: found.CheckpointID}
			if why := r.outOfReach(last.Epoch); why != "" && r.unfit != found.Path {
				r.unfit = found.Path
				r.evidence(why)
			}
		}
		path := r.base
		if r.base == "" || last.Epoch != r.baseEpoch { // else nothing was submitted behind it
			if path, err = r.left(last, found); err != nil {
				return "", err
			}
		}
		if path == r.unfit && path != "" { // so the new revision published it
			if r.in.Request.Replay != job.ReplayAllow && !r.again {
				return "", failure.New(failure.Incompatible, "the old revision doesn't run from the newest snapshot %s; from %s it would publish again what submission %d published", path, r.base, r.published.Epoch).
					WithNext("decide: sluice op decide %s --option %s", r.in.Operation, r.afterPublishing())
			}
			path, r.progress.Rollback.Replay = r.base, r.published
		}
		if path == "" {
			return "", failure.New(failure.Refused, "no snapshot is known from which the old revision could go on")
		}
		r.restore = path
		r.progress.Rollback.RestorePath, r.progress.Rollback.Exact = path, r.progress.Rollback.Replay == nil
		_, err = flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: path}, "verify the snapshot to go back to")
		if err != nil && r.published != nil && path == r.published.To {
			r.unfit = path
		}
		return path, err
	})
}

// afterPublishing are the ways to decide that the request leaves.
func (r *run) afterPublishing() string {
	if r.in.Request.Replay == job.ReplayDeny {
		return "give-up (the request's replay: deny leaves no other)"
	}
	return "replay, or give-up"
}

// outOfReach says why the old revision can't go on from what a submission of the
// new one left, where that is known without trying; "" where it isn't.
func (r *run) outOfReach(epoch int64) string {
	wrote, reads := r.target.Revision.Spec.Engine, r.side.revision.Spec.Engine
	switch {
	case epoch == r.stray.epoch:
		return "what the new revision published is in " + r.stray.checkpoint + ", where the platform restores nothing from"
	case !reads.CanRead(wrote):
		return unreadable(reads, wrote.String()+" wrote").Message
	case movesState(r.target.CurrentSpec, r.target.Revision.Spec):
		return "what the new revision published is in the format of its state backend, which the old one's can't read"
	}
	return ""
}

// bringWorkersBack is replaceWorkers the other way round.
func (r *run) bringWorkersBack(ctx workflow.Context) func(workflow.Context) error {
	if r.unchecked {
		return r.bringClusterBack(ctx)
	}
	if r.warm() {
		return func(workflow.Context) error { return nil }
	}
	down := flow.Go(ctx, r.queue, activities.ScaleDownWorkers, activities.GenerationRef{Identity: r.target.Identity, Generation: r.generation},
		fmt.Sprintf("take the TaskManagers of generation %d away", r.generation))
	up := flow.Go(ctx, r.queue, activities.RestoreWorkers, activities.GenerationRef{Identity: r.target.Identity, Generation: r.old},
		fmt.Sprintf("make the TaskManagers of generation %d again", r.old))
	return func(ctx workflow.Context) error {
		if _, err := down.Get(ctx); err != nil {
			return err
		}
		_, err := up.Get(ctx)
		return err
	}
}
