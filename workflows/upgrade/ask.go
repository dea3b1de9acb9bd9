package upgrade

import (
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

var (
	optionRetry     = Option{OptionRetry, "try the step again"}
	optionGiveUp    = Option{OptionGiveUp, "leave the job stopped; its snapshots stay, and a start goes on from the newest"}
	optionRollback  = Option{OptionRollback, "bring the old revision back, on its own cluster"}
	optionSupersede = Option{OptionSupersede, "another start in this operation's place: sluice op start JOB --supersede OPERATION"}
)

// insist repeats a step behind the point of no return until it works: between
// two tries the operation is open, shows its evidence and waits for a person.
// It never ends with a job silently down. Where a person takes another way than
// to retry it is gone here, to its end, and the step's error is returned.
func (r *run) insist(ctx workflow.Context, step func() error) error {
	for {
		err := step()
		if err == nil {
			return nil
		}
		decision, askErr := r.ask(ctx, err, r.waysOut()...)
		switch {
		case askErr != nil:
			return askErr
		case decision == OptionRollback:
			return r.rollback(ctx, err)
		case decision != OptionRetry:
			if state := r.leavesState(ctx); state != nil {
				r.evidence("not given up: " + failure.Of(state).Error())
				r.kept, r.successor = true, nil
				continue
			}
			return r.leave(ctx, err)
		}
	}
}

// waysOut are what a person may decide about a step that doesn't work. While the
// operation's end is written there is nothing else: the job is at rest, or proven.
func (r *run) waysOut() []Option {
	if r.leaving || r.settling {
		return []Option{optionRetry}
	}
	ways := []Option{optionRetry}
	if r.base != "" && r.progress.Rollback == nil {
		ways = append(ways, optionRollback)
	}
	return append(ways, optionGiveUp, optionSupersede)
}

// leavesState refuses to end a job of which nothing would be left to start from.
// What a stop left, or made known, is enough; whatever is over leaves what it left.
func (r *run) leavesState(ctx workflow.Context) error {
	read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease")
	if err != nil {
		return err
	}
	intent := read.State.Intent
	if intent == nil || intent.Outcome.Over() || r.saved != "" {
		return nil
	}
	found, err := r.checkpointOf(ctx, intent)
	if err == nil && found.Path == "" && r.stopsInto != "" {
		found, err = flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: r.stopsInto}, "did the stop leave a savepoint?")
	}
	if err != nil || found.Path != "" {
		return err
	}
	if _, err := r.left(intent, found); err != nil {
		return failure.New(failure.Refused, "submission %d may still run, and nothing is left to start it from: its end would be its state's", intent.Epoch).
			WithNext("let it make a checkpoint, or mend what keeps the step from working; then decide again")
	}
	return nil
}

// leave is giveUp where it isn't known what a stop left: a start must not go
// behind that.
func (r *run) leave(ctx workflow.Context, why error) error {
	r.leaving = true
	if err := r.insist(ctx, func() error { return r.endLast(ctx) }); err != nil {
		return err
	}
	if err := r.insist(ctx, func() error { return r.keepSavepoint(ctx) }); err != nil {
		return err
	}
	return r.giveUp(ctx, why)
}

// ask waits for a person's decision among the options.
func (r *run) ask(ctx workflow.Context, cause error, options ...Option) (string, error) {
	phase := r.progress.Phase
	options = r.mayDeclare(ctx, cause, options)
	f := failure.Of(cause)
	if f.Next == "" {
		_ = f.WithNext("look at the evidence, mend the cause, then: sluice op retry %s", r.in.Operation)
	}
	r.progress.Failure = f
	r.evidence(f.Error())
	r.progress.Options, r.progress.Retryable = options, true
	r.enter(ctx, job.Waiting)
	over := r.wait(ctx, "a person's decision: "+optionNames(options))
	defer over()
	r.decision, r.asks = "", phase
	defer func() { r.asks = "" }()
	r.reread()
	if failure.CodeOf(cause) == failure.Unavailable && r.spoke != 0 {
		defer r.retryWhenAnswered(ctx)()
	}
	if err := r.awaitDecision(ctx, options); err != nil {
		return "", err
	}
	r.try++
	r.progress.Options, r.progress.Retryable = nil, false
	r.progress.Default, r.progress.DecideBy = "", ""
	r.progress.Failure = nil
	r.enter(ctx, phase)
	if r.decision == OptionDeclareDead {
		r.declareDead(ctx)
		return OptionRetry, nil
	}
	return r.decision, nil
}

// retryWhenAnswered takes the question back once the agent that was last spoken to
// answers again. It is one activity that is tried for a day: no history grows.
func (r *run) retryWhenAnswered(ctx workflow.Context) (stop func()) {
	ctx, stop = workflow.WithCancel(flow.Patient(ctx))
	in := r.command(r.spoke, "state", agentapi.Command{})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for !long(ctx) {
			_, err := flow.Do(ctx, r.queue, activities.AgentState, in, "does the agent answer again?")
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				// An agent may answer this and still not do what it is told, because Flink or
				// HDFS is away: each time the person has longer to go another way.
				if r.answered > 0 && workflow.Sleep(ctx, time.Duration(min(r.answered, 30))*time.Minute) != nil {
					return
				}
				if r.mayDecide(OptionRetry) == nil {
					r.answered++
					r.take(Decision{OptionRetry, "the agent answers again"})
				}
				return
			case failure.CodeOf(err) != failure.Unavailable:
				return
			}
		}
	})
	return stop
}

// long says that the history has grown so far that nothing may be repeated by
// itself any more: Temporal terminates a run at 51,200 events, with the job down
// and the Lease held. What a person decides is done all the same.
func long(ctx workflow.Context) bool { return workflow.GetInfo(ctx).GetCurrentHistoryLength() > 20_000 }

// awaitDecision waits for a person, or for the time at which the request's default
// is taken.
func (r *run) awaitDecision(ctx workflow.Context, options []Option) error {
	decided := func() bool { return r.decision != "" }
	chosen, after := r.in.Request.DefaultDecision, time.Duration(r.in.Request.DefaultAfterMinutes)*time.Minute
	if chosen == "" || !offers(options, chosen) {
		return workflow.Await(ctx, decided)
	}
	if (chosen == OptionRetry || r.kept) && long(ctx) {
		r.evidence("retried by itself too often: from now on a person decides")
		return workflow.Await(ctx, decided)
	}
	r.progress.Default, r.progress.DecideBy = chosen, stamp(workflow.Now(ctx).Add(after))
	r.changed()
	inTime, err := workflow.AwaitWithTimeout(ctx, after, decided)
	if err == nil && !inTime {
		r.take(Decision{chosen, "nobody decided within " + after.String() + ": the request's default"})
	}
	return err
}

func offers(options []Option, name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool { return o.Name == name })
}

// take keeps a decision; the first one counts.
func (r *run) take(d Decision) {
	r.decision, r.word = d.Option, d
	r.evidence(d.Option + " asked for: " + d.Reason)
}

func (r *run) mayDecide(option string) error {
	if !r.progress.Retryable || r.decision != "" {
		return ontemporal.Error(failure.New(failure.Refused, "the operation doesn't wait for a decision (it is %s)", r.progress.Phase))
	}
	if !offers(r.progress.Options, option) {
		return ontemporal.Error(failure.New(failure.Refused, "%q is none of the options: %s", option, optionNames(r.progress.Options)))
	}
	return nil
}

func optionNames(options []Option) string {
	all := make([]string, 0, len(options))
	for _, o := range options {
		all = append(all, o.Name)
	}
	return strings.Join(all, " or ")
}
