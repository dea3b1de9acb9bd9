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

// move makes the side's generation the one that may submit. The hold stays until
// the commit. Cold: the TaskManagers change places now.
func (r *run) move(ctx workflow.Context) error {
	r.enter(ctx, job.Submitting)
	return r.insist(ctx, func() error { return r.moveTo(ctx, r.replaceWorkers) })
}

// goOver moves the Lease, and verifies the savepoint unless it is. Both must be
// done before the submission; neither needs the other: under the hold nobody
// submits to the generation that is active too early (decision 57).
func (r *run) goOver(ctx workflow.Context, unverified bool) error {
	if !unverified {
		return r.move(ctx)
	}
	path := r.restore
	if !r.warm() || !beside(ctx) { // the old TaskManagers stay until the savepoint is sound
		if err := r.insist(ctx, func() error { return r.verify(ctx, path) }); err != nil {
			return err
		}
		return r.move(ctx)
	}
	r.enter(ctx, job.Submitting)
	return r.insist(ctx, func() error {
		moved, set := workflow.NewFuture(ctx)
		workflow.Go(ctx, func(ctx workflow.Context) { set.SetError(r.moveTo(ctx, r.replaceWorkers)) })
		err := r.verify(ctx, path)
		if moveErr := moved.Get(ctx, nil); moveErr != nil && err == nil {
			err = moveErr
		}
		return err
	})
}

// beside says whether the run does side by side what doesn't wait for each other:
// those that began before that don't.
func beside(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "verify-beside-move", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

func (r *run) moveTo(ctx workflow.Context, replace func(workflow.Context) func(workflow.Context) error) error {
	return r.step(ctx, "move", "the Lease", func() (string, error) {
		workers := replace(ctx)
		in := r.leaseIn()
		in.Generation = r.side.generation
		state, err := flow.Do(ctx, r.queue, activities.MoveLease, in, fmt.Sprintf("generation %d becomes the writer", r.side.generation))
		if err != nil {
			return "", err
		}
		r.state = state
		r.epoch = state.Epoch + 1
		return fmt.Sprintf("generation %d is active", r.side.generation), workers(ctx)
	})
}

// replaceWorkers starts, for a cold upgrade, to take the old TaskManagers away
// and to make the new ones; the returned function waits until both are applied.
func (r *run) replaceWorkers(ctx workflow.Context) func(workflow.Context) error {
	if r.warm() {
		return func(workflow.Context) error { return nil }
	}
	down := flow.Go(ctx, r.queue, activities.ScaleDownWorkers, activities.GenerationRef{Identity: r.target.Identity, Generation: r.old},
		fmt.Sprintf("take the TaskManagers of generation %d away", r.old))
	if r.unchecked { // their place is the new JobManager's first
		return func(ctx workflow.Context) error {
			_, err := down.Get(ctx)
			return err
		}
	}
	up := flow.Go(ctx, r.queue, activities.ApplyGeneration, r.generationIn(true), fmt.Sprintf("make the TaskManagers of generation %d", r.generation))
	return func(ctx workflow.Context) error {
		if _, err := down.Get(ctx); err != nil {
			return err
		}
		_, err := up.Get(ctx)
		return err
	}
}

// submitAndProve posts the job and proves that it runs as intended. A retry
// after a submission that is proven over is a new submission with a new epoch,
// from the newest snapshot that the failed one left, so that nothing which it
// published is repeated. again: there was one before the first try already.
func (r *run) submitAndProve(ctx workflow.Context, again bool) error {
	for ; ; again = true {
		err := r.tryOnce(ctx, again)
		if err == nil || r.endedMeanwhile(ctx, err) {
			return nil
		}
		decision, askErr := r.ask(ctx, err, optionRetry, optionGiveUp, optionSupersede)
		if askErr != nil {
			return askErr
		}
		if decision != OptionRetry {
			return r.giveUp(ctx, err)
		}
	}
}

func (r *run) tryOnce(ctx workflow.Context, again bool) error {
	if again {
		if err := r.nextEpoch(ctx); err != nil || r.ended() {
			return err
		}
	}
	return r.attempt(ctx)
}

// attemptAnswered is attempt, where an agent that doesn't answer says nothing of
// what was submitted: the same submission is looked at again when it does, unless
// a person goes another way. The error is returned for the rollback to be tried,
// or the job was left at rest.
func (r *run) attemptAnswered(ctx workflow.Context) error {
	for {
		err := r.attempt(ctx)
		if failure.CodeOf(err) != failure.Unavailable {
			return err
		}
		decision, askErr := r.ask(ctx, err, optionRetry, optionRollback, optionGiveUp, optionSupersede)
		switch {
		case askErr != nil:
			return askErr
		case decision == OptionRollback:
			return err
		case decision != OptionRetry:
			return r.leave(ctx, err)
		}
	}
}

// attempt is one submission and its proof.
func (r *run) attempt(ctx workflow.Context) error {
	back := r.progress.Rollback != nil
	if !back {
		r.enter(ctx, job.Submitting)
	}
	if err := r.submit(ctx); err != nil {
		return err
	}
	return r.whileItStands(ctx, func(ctx workflow.Context) error {
		since, err := r.running(ctx)
		if err != nil {
			return err
		}
		if !back {
			r.enter(ctx, job.Proving)
		}
		if err := r.gate(ctx, since); err != nil {
			r.transactionsWait(ctx, r.side.revision.Spec) // those that it prepared before it failed
			return err
		}
		return nil
	})
}

// ofEpoch names a step of one submission: an operation may have several.
func (r *run) ofEpoch(step string) string { return fmt.Sprintf("%s-e%d", step, r.epoch) }

func (r *run) flinkJobID() string { return job.FlinkJobID(r.target.Identity.UID, r.epoch) }

func (r *run) submit(ctx workflow.Context) error {
	r.progress.Epoch, r.progress.FlinkJobID = r.epoch, r.flinkJobID()
	return r.step(ctx, "submit", "Flink's answer to the submission", func() (string, error) {
		in := agentapi.SubmitIn{
			Epoch: r.epoch, FlinkJobID: r.flinkJobID(), RestorePath: r.restore,
			Spec: r.filled(r.side.revision.Spec), Parallelism: r.side.parallelism, Tenant: r.target.Identity.Tenant,
			AllowStateLoss: r.side.allowStateLoss,
		}
		out, err := flow.Do(ctx, r.queue, activities.SubmitJob, r.command(r.side.generation, r.ofEpoch("submit"), agentapi.Command{Kind: agentapi.Submit, Submit: &in}),
			fmt.Sprintf("submit epoch %d to generation %d", r.epoch, r.side.generation))
		if err != nil {
			return "", err
		}
		r.state.Epoch = r.epoch // the agent's intent is on the Lease now
		detail := fmt.Sprintf("accepted in %d ms", out.PostMS)
		if out.Duplicate {
			detail = "Flink had it already: an earlier try had arrived"
		}
		return detail, nil
	})
}

// filled has the arguments that main gets. An agent of an earlier release would pass
// a placeholder on as it stands, the same for every job.
func (r *run) filled(spec job.Spec) job.Spec {
	spec.Arguments = spec.ArgumentsOf(r.target.Identity.UID)
	return spec
}

// running waits until the job runs as intended, and returns the traces by which a
// restart from then on shows.
func (r *run) running(ctx workflow.Context) (agentapi.Traces, error) { return r.runningAfter(ctx, "") }

// runningAfter is running once more in one submission, after what the name says: an
// agent gives a command that it knows its old answer.
func (r *run) runningAfter(ctx workflow.Context, what string) (agentapi.Traces, error) {
	name := "await"
	if what != "" {
		name += "-" + what
	}
	var out agentapi.AwaitOut
	err := r.step(ctx, "run", "every vertex RUNNING at its parallelism", func() (_ string, err error) {
		in := agentapi.AwaitIn{FlinkJobID: r.flinkJobID(), RestorePath: r.restore, Parallelism: r.side.parallelism}
		out, err = flow.Do(ctx, r.queue, activities.AwaitRunning, r.command(r.side.generation, r.ofEpoch(name), agentapi.Command{Kind: agentapi.Await, Await: &in}),
			"wait until it runs from the intended snapshot")
		if err != nil {
			return "", err
		}
		if r.stoppedAt > 0 {
			r.progress.DowntimeMS = out.RunningAt - r.stoppedAt
		}
		r.progress.TransactionsExpireAt = "" // committed by what runs
		restored := out.RestoredPath
		if restored == "" {
			restored = "nothing (stateless)"
		}
		return fmt.Sprintf("restored from %s, at parallelism %d", restored, widest(out.Vertices)), nil
	})
	return out.Traces, err
}

func widest(vertices []agentapi.Vertex) int {
	most := 0
	for _, v := range vertices {
		most = max(most, v.Parallelism)
	}
	return most
}

// gate is the proof after RUNNING: one checkpoint of its own, then a soak, and no
// restart since the job was seen to run.
func (r *run) gate(ctx workflow.Context, since agentapi.Traces) error {
	if err := r.checkpoint(ctx, "gate", "the first checkpoint"); err != nil {
		return err
	}
	seconds := r.in.Request.Soak()
	if seconds == 0 {
		return nil
	}
	return r.step(ctx, "soak", fmt.Sprintf("%d s without a restart", seconds), func() (string, error) {
		in := agentapi.SoakIn{FlinkJobID: r.flinkJobID(), Seconds: seconds, Since: since}
		_, err := flow.Do(ctx, r.queue, activities.SoakJob, r.command(r.side.generation, r.ofEpoch("soak"), agentapi.Command{Kind: agentapi.Soak, Soak: &in}),
			fmt.Sprintf("%d s without a restart", seconds))
		return "", err
	})
}

// checkpoint takes one of the running submission; name is part of its trigger's id.
func (r *run) checkpoint(ctx workflow.Context, name, waitingFor string) error {
	step := "checkpoint"
	if name != "gate" {
		step += "-" + name
	}
	return r.step(ctx, step, waitingFor, func() (string, error) {
		in := agentapi.CheckpointIn{
			FlinkJobID: r.flinkJobID(),
			TriggerID:  job.TriggerID(r.in.Operation, r.ofEpoch(name), r.try),
			Directory:  r.target.Identity.FS + job.CheckpointDirectory(r.target.Identity.UID),
		}
		out, err := flow.Do(ctx, r.queue, activities.TakeCheckpoint, r.command(r.side.generation, r.ofEpoch(step), agentapi.Command{Kind: agentapi.Checkpoint, Checkpoint: &in}),
			waitingFor+", in the job's own directory")
		if out.Disabled {
			return "the job has no checkpoints", err
		}
		if err == nil {
			r.checkpointed = r.epoch
		} else if elsewhere := failure.Of(err).Details["external"]; elsewhere != "" {
			r.stray = stray{r.epoch, elsewhere}
		}
		return fmt.Sprintf("checkpoint %d", out.CheckpointID), err
	})
}

// ended says that this operation's own submission ended by itself.
func (r *run) ended() bool { return r.state.Ended != nil && r.state.Ended.Epoch == r.epoch }

// endedMeanwhile looks behind an attempt that failed: a bounded job that finishes
// while it is proven has nothing for a person to decide.
func (r *run) endedMeanwhile(ctx workflow.Context, failed error) bool {
	if failure.CodeOf(failed) != failure.JobFailed || workflow.GetVersion(ctx, "ended-meanwhile", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	if failure.Of(failed).Details["state"] == string(lease.Finished) { // not every agent's command notes it
		if err := r.note(ctx, r.epoch, lease.Finished, "note that the submission ended FINISHED"); err == nil {
			return r.ended()
		}
	}
	read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "did the job end by itself?")
	if err != nil { // then the failure is what is known
		return false
	}
	r.state = read.State
	return r.ended()
}

// nextEpoch looks at how the last submission stands. Over: the next one starts
// from the newest snapshot that it left. Else the same one is looked at again.
func (r *run) nextEpoch(ctx workflow.Context) error {
	return r.step(ctx, "look", "the Lease and HDFS", func() (string, error) {
		read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease")
		if err != nil {
			return "", err
		}
		r.state = read.State
		intent := r.state.Intent
		if r.ended() {
			return "the job ended by itself: " + r.state.Ended.State, nil
		}
		if intent != nil && intent.Epoch == r.epoch && !intent.Outcome.Over() {
			if err := r.proveOver(ctx, intent); err != nil {
				return "", err
			}
			intent = r.state.Intent
		}
		if intent == nil || intent.Epoch != r.epoch || !intent.Outcome.Over() {
			return fmt.Sprintf("epoch %d is still the one", r.epoch), nil
		}
		newest, err := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: r.checkpoints(intent.FlinkJobID)}, "the newest checkpoint of the failed submission")
		if err != nil {
			return "", err
		}
		if r.restore, err = r.left(intent, newest); err != nil {
			return "", err
		}
		r.epoch = r.state.Epoch + 1
		return fmt.Sprintf("epoch %d ended %s; epoch %d follows", intent.Epoch, intent.Outcome, r.epoch), nil
	})
}

// checkpoints is where one submission's own checkpoints lie.
func (r *run) checkpoints(flinkJobID string) string {
	return r.target.Identity.FS + job.CheckpointDirectory(r.target.Identity.UID) + "/" + flinkJobID
}
