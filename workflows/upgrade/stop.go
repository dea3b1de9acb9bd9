package upgrade

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// verdict is what a row of the stop table says (DESIGN §4).
type verdict int

const (
	goOn       verdict = iota // from the savepoint
	goOnNewest                // from the newest snapshot of this epoch, never older than the savepoint
	runsOn                    // no savepoint, and the job runs as if nothing had been
	resume                    // no savepoint, and the job doesn't run any more: bring it back
	itEnded                   // it ended by itself: nothing is started
	mustAsk
)

// dead is the state of a job whose processes are proven to have ended.
const dead = string(lease.Closed)

// judge reads the stop table. Neither column is ever guessed: what isn't known
// doesn't come here.
func judge(out agentapi.StopOut) verdict {
	saved := out.Savepoint != ""
	switch out.JobState {
	case string(lease.Finished):
		if saved {
			return goOn
		}
		return itEnded
	case string(lease.Failed), dead:
		if saved {
			return goOnNewest
		}
		return resume
	case string(lease.Canceled):
		if saved {
			return goOnNewest
		}
		return itEnded
	case "RUNNING", "RESTARTING": // lost nothing, and Flink sees to it
		if !saved {
			return runsOn
		}
	}
	return mustAsk
}

// stopped is the row that the stop ended in.
type stopped struct {
	verdict verdict
	why     *failure.Error // unless the upgrade goes on
}

// stop ends the old job and sets the snapshot to go on from. With the verdict
// goOn that is its savepoint, which is still to be verified.
func (r *run) stop(ctx workflow.Context) (stopped, error) {
	r.enter(ctx, job.Stopping)
	r.stoppedAt = workflow.Now(ctx).UnixMilli()
	r.transactionsWait(ctx, r.runningSpec())
	if r.progress.Plan.NoSavepoint {
		if err := r.mayEndUnsaved(ctx); err != nil {
			return r.leaveAlone(failure.Of(err))
		}
		return r.stopWithoutSavepoint(ctx)
	}
	out, v, err := r.stopWithSavepoint(ctx)
	if err != nil {
		return stopped{}, err
	}
	if v == runsOn {
		r.stopRefused()
		why := failure.New(failure.JobFailed, "the savepoint failed and the job runs on (%s): %s", strings.ToLower(out.JobState), out.Cause).
			WithNext("the job was not touched; %s", r.afterNoSavepoint())
		if !r.in.Request.WithoutSavepoint {
			return r.leaveAlone(why)
		}
		if err := r.mayEndUnsaved(ctx); err != nil {
			r.evidence(why.Error())
			return r.leaveAlone(failure.Of(err))
		}
		return r.stopWithoutSavepoint(ctx)
	}
	r.undo.Forget()
	switch v {
	case itEnded:
		return stopped{v, failure.New(failure.JobFailed, "the job ended by itself (%s) before its savepoint: %s", out.JobState, out.Cause).
			WithNext("nothing runs; to run it again from its beginning, start it stateless (admins only)")}, nil
	case resume:
		if r.in.Request.WithoutSavepoint && !movesState(r.target.CurrentSpec, r.target.Revision.Spec) {
			return stopped{verdict: goOnNewest}, r.insist(ctx, func() error { return r.fromNewest(ctx) })
		}
		return stopped{v, failure.New(failure.JobFailed, "the job was %s before its savepoint was complete: %s", out.JobState, out.Cause)}, nil
	default: // there is a savepoint
	}
	r.restore = out.Savepoint
	if v == goOn {
		return stopped{verdict: v}, nil
	}
	if err := r.insist(ctx, func() error { return r.verify(ctx, out.Savepoint) }); err != nil {
		return stopped{}, err
	}
	return stopped{verdict: v}, r.insist(ctx, func() error { return r.fromNewest(ctx) })
}

// leaveAlone is the end of an operation whose job runs as if nothing had been: the
// undo stack releases the hold and removes the new generation.
func (r *run) leaveAlone(why *failure.Error) (stopped, error) {
	r.progress.TransactionsExpireAt = ""
	r.evidence(why.Error())
	return stopped{runsOn, why}, why
}

// afterNoSavepoint advises whoever's operation ended without a savepoint.
func (r *run) afterNoSavepoint() string {
	again := fmt.Sprintf("mend the cause, then ask for the %s again", r.in.Request.Kind)
	if r.in.Request.Kind == job.Rescale {
		return again
	}
	return again + "; or allow it to do with the newest checkpoint (--without-savepoint)"
}

// stopWithSavepoint gives the row, or asks until there is one.
func (r *run) stopWithSavepoint(ctx workflow.Context) (out agentapi.StopOut, v verdict, err error) {
	const try = 1 // of the savepoint: its trigger id and directory stay the same over every retry
	in := agentapi.StopIn{
		FlinkJobID: r.state.Intent.FlinkJobID,
		TriggerID:  job.TriggerID(r.in.Operation, "stop", try),
		Directory:  r.target.Identity.FS + job.SavepointDirectory(r.target.Identity.UID, r.in.Operation, "stop", try),
		Format:     r.format(),
	}
	if sent := r.state.Stopped(); r.heir && sent != nil && sent.TriggerID != "" {
		in.TriggerID, in.Directory = sent.TriggerID, sent.Directory // a dead operation's: the same again is harmless, another isn't
	}
	r.stopsInto = in.Directory
	err = r.insist(ctx, func() error {
		return r.step(ctx, "stop", "the savepoint, then the job's end", func() (string, error) {
			var err error
			out, err = flow.Do(ctx, r.queue, activities.StopJob, r.command(r.old, "stop", agentapi.Command{Kind: agentapi.Stop, Stop: &in}),
				fmt.Sprintf("stop generation %d with a savepoint", r.old))
			if failure.CodeOf(err) == failure.Unknown {
				out, err = r.lookBehindStop(ctx, in, err)
			}
			if err != nil {
				return "", err
			}
			r.saved = out.Savepoint
			if v = judge(out); v == mustAsk {
				return "", failure.New(failure.Unproven, "the stop ended with savepoint %q and the job %s: %s", out.Savepoint, out.JobState, out.Cause)
			}
			return fmt.Sprintf("savepoint %d ms, job %s after %d ms", out.SavepointMS, strings.ToLower(out.JobState), out.TerminalMS), nil
		})
	})
	return out, v, err
}

// lookBehindStop finds the row of a stop whose answer is lost for good: the
// savepoint in the try's own directory, the end by the proofs of its processes.
// Without a proven end there is no row.
func (r *run) lookBehindStop(ctx workflow.Context, in agentapi.StopIn, unknown error) (agentapi.StopOut, error) {
	if err := r.awaitProof(ctx, r.state.Intent); err != nil {
		return agentapi.StopOut{}, err
	}
	if !r.state.Intent.Outcome.Over() {
		return agentapi.StopOut{}, unknown
	}
	found, err := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: in.Directory}, "is there a savepoint all the same?")
	return agentapi.StopOut{Savepoint: found.Path, JobState: string(r.state.Intent.Outcome), Cause: failure.Of(unknown).Message}, err
}

// mayEndUnsaved: nothing is canceled before it is known from where it goes on.
func (r *run) mayEndUnsaved(ctx workflow.Context) error {
	if !knowsFirst(ctx) {
		return nil
	}
	return r.step(ctx, "know", "a checkpoint to go on from, on HDFS", func() (string, error) { return r.knownCheckpoint(ctx) })
}

// knowsFirst says whether the run looks for a checkpoint before it ends the job:
// those that began before that don't.
func knowsFirst(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "checkpoint-known-first", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// knownCheckpoint is what the job would go on from if it were ended now without a
// savepoint: verified, or the operation is refused with the job untouched.
func (r *run) knownCheckpoint(ctx workflow.Context) (string, error) {
	if running, target := r.target.CurrentSpec, r.target.Revision.Spec; movesState(running, target) {
		return "", failure.New(failure.Refused, "the state backend changes from %s to %s, and no other backend can read a checkpoint: only a savepoint in the canonical format takes the state along", running.StateBackend(), target.StateBackend()).
			WithNext("the job was not touched; keep state.backend.type in the revision that mends the job, and change it once a savepoint succeeds")
	}
	intent := r.state.Intent
	path, err := r.newestOf(ctx, intent)
	if failure.CodeOf(err) == failure.Unproven || err == nil && path == "" {
		return "", noCheckpoint(fmt.Sprintf("submission %d has none", intent.Epoch)).With("checkpoints", r.checkpoints(intent.FlinkJobID))
	}
	if err == nil {
		_, err = flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: path}, "verify the checkpoint to go on from")
	}
	if f := failure.Of(err); err == nil || f.Retryable() || f.Code == failure.Canceled {
		return path, err
	}
	return "", noCheckpoint(failure.Of(err).Message).With("snapshot", path)
}

func noCheckpoint(why string) *failure.Error {
	return failure.New(failure.Refused, "without a savepoint the job would go on from its newest checkpoint, and there is none to go on from: %s", why).
		WithNext("the job was not touched; let it make a checkpoint (execution.checkpointing.interval), or mend what keeps it from a savepoint; to begin without its state: stop it, then start it stateless (admins only)")
}

// stopWithoutSavepoint ends a job of which no savepoint can be had, and goes on
// from its newest checkpoint. The request, or the accepted plan, allowed that.
func (r *run) stopWithoutSavepoint(ctx workflow.Context) (stopped, error) {
	r.undo.Forget()
	var state lease.Outcome
	err := r.insist(ctx, func() error {
		return r.step(ctx, "cancel", "the job's end", func() (string, error) {
			if err := r.endSubmission(ctx); err != nil {
				return "", err
			}
			state = r.state.Intent.Outcome
			return string(state), nil
		})
	})
	if err != nil {
		return stopped{}, err
	}
	if state == lease.Finished {
		return stopped{itEnded, failure.New(failure.JobFailed, "the job ended by itself (%s)", state).
			WithNext("nothing runs; to run it again from its beginning, start it stateless (admins only)")}, nil
	}
	return stopped{verdict: goOnNewest}, r.insist(ctx, func() error { return r.fromNewest(ctx) })
}

// fromNewest takes the newest snapshot of the submission that ended as the one
// to go on from, unless the savepoint that was taken is newer.
func (r *run) fromNewest(ctx workflow.Context) error {
	return r.step(ctx, "newest", "HDFS", func() (string, error) {
		path, err := r.newestOf(ctx, r.state.Intent)
		if err != nil {
			return "", err
		}
		if path != "" {
			r.restore = path
		}
		_, err = flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: r.restore}, "verify the snapshot to go on from")
		return r.restore, err
	})
}

// newestOf is the newest snapshot of a submission that is over: a checkpoint of
// its own that is newer than the savepoint taken of it, else where it came from;
// "" when the savepoint is the newest.
func (r *run) newestOf(ctx workflow.Context, intent *lease.Intent) (string, error) {
	found, err := r.checkpointOf(ctx, intent)
	if err != nil || r.progress.Savepoint != "" && found.CheckpointID <= r.savepointID {
		return "", err
	}
	return r.left(intent, found)
}

func (r *run) checkpointOf(ctx workflow.Context, intent *lease.Intent) (activities.FindSnapshotOut, error) {
	if intent.Epoch == r.stray.epoch {
		return activities.FindSnapshotOut{Path: r.stray.checkpoint}, nil
	}
	return flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: r.checkpoints(intent.FlinkJobID)}, "the newest checkpoint of the submission that ended")
}

// left is what a submission that is over left to go on from: its newest
// checkpoint, else where it came from. One that had made a checkpoint (it was
// committed, or this operation saw it) and has none any more may have finished:
// from where it came all that it published would be repeated.
func (r *run) left(intent *lease.Intent, found activities.FindSnapshotOut) (string, error) {
	switch {
	case found.Path != "":
		return found.Path, nil
	case intent.Epoch == r.target.Current.Epoch || intent.Epoch == r.checkpointed:
		return "", failure.New(failure.Unproven, "submission %d left no checkpoint, though it had made one: it may have finished by itself", intent.Epoch).
			WithNext("look at its output and at %s", r.checkpoints(intent.FlinkJobID))
	}
	return intent.RestorePath, nil
}

// format is NATIVE unless the engine or the state backend changes.
func (r *run) format() string {
	running, target := r.target.CurrentSpec, r.target.Revision.Spec
	if running != nil && running.Engine != target.Engine || movesState(running, target) {
		return "CANONICAL"
	}
	return "NATIVE"
}

// verify proves the snapshot on HDFS and enters it into the ledger.
func (r *run) verify(ctx workflow.Context, path string) error {
	return r.step(ctx, "verify", "the savepoint on HDFS", func() (string, error) {
		out, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: path}, "verify the savepoint's _metadata")
		if err != nil {
			return "", err
		}
		r.progress.Savepoint, r.savepointID = path, out.CheckpointID
		r.enterLedger(ctx, job.Snapshot{Epoch: r.state.Epoch, CheckpointID: out.CheckpointID, Path: path, Kind: "savepoint", Operation: r.in.Operation})
		detail := fmt.Sprintf("%d bytes of metadata", out.MetadataBytes)
		if beside(ctx) {
			return detail, nil
		}
		return detail, r.entered(ctx)
	})
}

// lastOfAll is the checkpoint id of a stop's savepoint that can't be read: it is
// newer than all else of its submission. A start looks at it, and refuses, rather
// than go behind it.
const lastOfAll = 1<<53 - 1 // the greatest that every reader of JSON keeps

// keepSavepoint enters what the stop of an operation that is given up may have
// left. The job is over, so nothing comes later.
func (r *run) keepSavepoint(ctx workflow.Context) error {
	if r.stopsInto == "" || r.progress.Savepoint != "" {
		return nil
	}
	return r.step(ctx, "keep", "the savepoint on HDFS", func() (string, error) {
		found, err := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: r.stopsInto}, "did the stop leave a savepoint?")
		if err != nil {
			return "", err
		}
		kept := job.Snapshot{Epoch: r.state.Epoch, CheckpointID: found.CheckpointID, Path: found.Path, Kind: "savepoint", Operation: r.in.Operation}
		switch {
		case found.Path != "":
		case r.saved != "":
			kept.Path, kept.CheckpointID = r.saved, lastOfAll
		default:
			return "none", nil
		}
		r.progress.Savepoint = kept.Path
		r.enterLedger(ctx, kept)
		return kept.Path, r.entered(ctx)
	})
}

// entry is a snapshot on its way into the ledger. Nothing waits for it but the
// end of the operation: HDFS is the truth, the ledger its index.
type entry struct {
	in   activities.RecordSnapshotIn
	done flow.Future[activities.None]
}

func (r *run) enterLedger(ctx workflow.Context, snapshot job.Snapshot) {
	in := activities.RecordSnapshotIn{
		JobUID: r.target.Identity.UID, Engine: r.runningSpec().Engine, Revision: r.target.Current.Revision, Snapshot: snapshot,
	}
	r.entry = &entry{in, flow.Go(ctx, job.FlowQueue, activities.RecordSnapshot, in, "enter the savepoint into the ledger")}
}

// entered waits for the ledger's entry; one that failed is begun anew by the next
// call.
func (r *run) entered(ctx workflow.Context) error {
	if r.entry == nil {
		return nil
	}
	if _, err := r.entry.done.Get(ctx); err != nil {
		r.enterLedger(ctx, r.entry.in.Snapshot)
		return err
	}
	r.entry = nil
	return nil
}

func (r *run) runningSpec() job.Spec {
	if r.target.CurrentSpec != nil {
		return *r.target.CurrentSpec
	}
	return r.target.Revision.Spec
}

// stopForGood is a stop that keeps a savepoint, or has no state to keep.
func (r *run) stopForGood(ctx workflow.Context) error {
	stopped, err := r.stop(ctx)
	if err != nil {
		return err
	}
	switch stopped.verdict {
	case itEnded:
		return r.commitItEnded(ctx, stopped.why)
	case resume: // it was to be stopped, and it is: its newest snapshot is found by the next start
		r.evidence(stopped.why.Error())
	case goOn:
		if err := r.insist(ctx, func() error { return r.verify(ctx, r.restore) }); err != nil {
			return err
		}
	default:
	}
	return r.commitStopped(ctx)
}

// savepoint is the operation "savepoint": the job runs on.
func (r *run) savepoint(ctx workflow.Context) error {
	in := agentapi.StopIn{
		FlinkJobID: r.state.Intent.FlinkJobID,
		TriggerID:  job.TriggerID(r.in.Operation, "savepoint", 1),
		Directory:  r.target.Identity.FS + job.SavepointDirectory(r.target.Identity.UID, r.in.Operation, "savepoint", 1),
		Format:     "NATIVE",
	}
	r.enter(ctx, job.Preparing)
	var path string
	err := r.step(ctx, "savepoint", "the savepoint", func() (string, error) {
		out, err := flow.Do(ctx, r.queue, activities.TakeSavepoint, r.command(r.old, "savepoint", agentapi.Command{Kind: agentapi.Savepoint, Savepoint: &in}),
			"take a savepoint; the job runs on")
		if err == nil && out.Savepoint == "" {
			err = failure.New(failure.JobFailed, "the savepoint failed: %s", out.Cause)
		}
		path = out.Savepoint
		return fmt.Sprintf("%d ms", out.SavepointMS), err
	})
	if err == nil && r.canceled {
		err = failure.New(failure.Canceled, "canceled when the savepoint was complete already")
	}
	// Whatever the answer was: a complete savepoint is the newest of its lineage
	// and must be in the ledger, or a later start would go behind it.
	r.forward()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if path == "" {
		found, findErr := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: in.Directory}, "is there a savepoint all the same?")
		if findErr != nil {
			return findErr
		}
		if found.Path == "" {
			return err
		}
		path = found.Path
	}
	if verifyErr := r.verify(ctx, path); verifyErr != nil {
		return verifyErr
	}
	if enterErr := r.entered(ctx); enterErr != nil {
		return enterErr
	}
	return err
}
