package upgrade

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// run is one operation under way.
type run struct {
	in       Input
	progress Progress
	undo     flow.Undo

	target     activities.ResolveOut
	state      lease.State   // the Lease as last read; {} when there is none
	exists     bool          // the Lease does
	queue      string        // of the job's site
	heir       bool          // the Lease was held by an operation whose run is over
	legacy     *job.Snapshot // by that one's stop; nil: nothing
	old        int           // generation that is active when the operation starts; 0: none
	cold       bool          // the TaskManagers come after the stop, though warm was asked for
	unchecked  bool          // not even the new JobManager fits beside the job: all is checked behind the stop
	stoodDown  bool          // the old generation's pods were taken away for that
	generation int           // made by this operation; 0: none
	restore    string        // snapshot to submit from; "": stateless
	epoch      int64         // of the submission to come
	try        int           // of commands that may be given again by retry
	spoke      int           // generation whose agent was last spoken to
	answered   int           // questions taken back because it answered again
	only       *PlanInput    // the run only plans: it has no effects; nil: an operation
	after      *run          // it plans what comes when this one has given up; nil: now

	targets *agentapi.TargetsOut // of a change in place; nil where its history is older than they are

	checkpointed int64 // epoch whose own first checkpoint was proven
	kept         bool  // from being given up: nothing would have been left
	stray        stray // a submission that keeps its checkpoints elsewhere
	stoppedAt    int64 // ms by the workflow's clock when the stop was sent
	cancelBefore workflow.CancelFunc
	past         bool // the point of no return lies behind
	settling     bool // what the operation came to is being written
	leaving      bool // a person gave it up
	canceled     bool
	why          string // the cancel's reason
	ran          heads

	incidents incidents
	endWaits  workflow.CancelFunc // of the waits behind a submission; nil: there are none
	asks      job.Phase           // in which the question came up; "": nobody is asked
	news      bool                // an incident came that nobody has looked behind

	waits     []*waiting
	successor *Input               // the operation that takes this one's place; nil: none
	decision  string               // taken by a person, "" while none is
	word      Decision             // the last one
	unheard   []activities.Unheard // those that it may declare dead
	declareOf int                  // their generation

	side        side    // where the next submission goes, and what
	stopsInto   string  // the stop's own directory for its savepoint; "": none was sent
	saved       string  // the savepoint that the stop left by Flink's word, read or not
	savepointID int64   // of the savepoint that was taken
	entry       *entry  // of the savepoint, on its way into the ledger
	base        string  // snapshot on which the old revision ended
	baseEpoch   int64   // of the submission that ended on it
	silent      bool    // the agent, of what the way back submitted
	unfit       string  // snapshot from which the old revision doesn't run
	again       bool    // a person allowed the replay
	published   *Replay // what the new revision published behind base; nil: nothing
}

// stray is a submission whose main set a checkpoint directory of its own: it has
// published, and the snapshots of that lie where the platform doesn't look.
type stray struct {
	epoch      int64
	checkpoint string // one of them
}

// side is a cluster and what is submitted to it.
type side struct {
	generation     int
	revision       job.Revision
	parallelism    int // 0: the generation's own
	allowStateLoss bool
}

// Workflow runs one operation on one job. Its workflow id is the job's lock.
func Workflow(ctx workflow.Context, in Input) (Progress, error) {
	r := newRun(ctx, in)
	if err := r.handle(ctx); err != nil {
		return r.progress, err
	}
	r.listen(ctx)
	progress, err := r.operate(ctx)
	r.incidents.drain(ctx, func() { r.takeIncidents(ctx) })
	return progress, err
}

func (r *run) operate(ctx workflow.Context) (Progress, error) {
	if workflow.GetInfo(ctx).ContinuedExecutionRunID != "" {
		r.introduce(ctx)
	}
	won, err := r.claim(ctx)
	if err != nil || !won {
		return r.progress, ontemporal.Error(err)
	}
	before, cancel := workflow.WithCancel(ctx)
	r.cancelBefore = cancel
	return r.finish(ctx, r.reason(r.execute(before)))
}

func newRun(ctx workflow.Context, in Input) *run {
	r := &run{in: in, try: 1}
	r.progress = Progress{
		Operation: in.Operation, Job: in.Job, Kind: in.Request.Kind, Phase: job.Planning,
		RequestedBy: in.RequestedBy, StartedAt: stamp(workflow.Now(ctx)), Cancelable: true,
	}
	return r
}

// execute is the order of the steps.
func (r *run) execute(ctx workflow.Context) error {
	if err := r.planAsSuccessor(ctx); err != nil {
		return err
	}
	if err := r.lost(); err != nil { // told while it was planned
		return err
	}
	if err := r.takeOver(ctx); err != nil {
		return err
	}
	switch r.in.Request.Kind {
	case job.Savepoint:
		return r.savepoint(ctx)
	case job.Stop:
		return r.rest(ctx)
	case job.Start, job.Upgrade, job.Restart, job.Rollback, job.Rescale:
		if r.progress.Plan.Strategy == job.InPlace {
			return r.inPlace(ctx)
		}
		if err := r.prepare(ctx); err != nil {
			return err
		}
		if err := r.hold(ctx); err != nil {
			return err
		}
		ctx, err := r.pointOfNoReturn(ctx)
		if err != nil {
			return err
		}
		return r.change(ctx)
	}
	return failure.New(failure.Invalid, "kind %q is not known", r.in.Request.Kind)
}

// change is what lies behind the point of no return of a start or upgrade:
// from here the operation goes forward, or asks.
func (r *run) change(ctx workflow.Context) error {
	ctx = flow.BoundSilence(ctx)
	r.side = side{r.generation, r.target.Revision, r.target.Profile.Parallelism, r.in.Request.AllowStateLoss}
	if r.in.Request.Kind == job.Start {
		return r.startUp(ctx)
	}
	stopped, err := r.stop(ctx)
	if err != nil || stopped.verdict == runsOn {
		return err
	}
	switch stopped.verdict {
	case itEnded:
		return r.commitItEnded(ctx, stopped.why)
	case resume:
		return r.rollback(ctx, stopped.why)
	default: // on with the new revision
	}
	r.base, r.baseEpoch = r.restore, r.state.Intent.Epoch
	if err := r.goOver(ctx, stopped.verdict == goOn); err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return r.rollback(ctx, err)
	}
	if err := r.attemptAnswered(ctx); err != nil {
		if r.settling { // a person gave it up
			return err
		}
		return r.rollback(ctx, err)
	}
	return r.commit(ctx)
}

// startUp submits a job that doesn't run: there is nothing to roll back to.
func (r *run) startUp(ctx workflow.Context) error {
	if r.copies() {
		if err := r.insist(ctx, func() error { return r.recordForeign(ctx) }); err != nil {
			return err
		}
	}
	if err := r.move(ctx); err != nil {
		return err
	}
	if err := r.submitAndProve(ctx, false); err != nil {
		return err
	}
	if r.ended() {
		return r.commitEnded(ctx)
	}
	return r.commit(ctx)
}

// claim binds the operation's row to this run. A run that loses it has no
// effects at all: another run of the same operation has them.
func (r *run) claim(ctx workflow.Context) (bool, error) {
	runID := workflow.GetInfo(ctx).WorkflowExecution.RunID
	out, err := flow.Do(ctx, job.FlowQueue, activities.Claim, activities.ClaimIn{Operation: r.in.Operation, RunID: runID}, "claim the operation for this run")
	if err != nil {
		return false, err
	}
	if !out.Won {
		return false, failure.New(failure.Refused, "operation %s belongs to run %s; this run has no effects", r.in.Operation, out.RunID)
	}
	return true, nil
}

// pointOfNoReturn returns a context that no cancel reaches. Nothing yields
// between the look and the step, so a cancel that was accepted is never passed
// over, whatever the activity before it answered.
func (r *run) pointOfNoReturn(ctx workflow.Context) (workflow.Context, error) {
	if r.canceled || ctx.Err() != nil {
		return ctx, failure.New(failure.Canceled, "canceled before the point of no return")
	}
	r.forward()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	return ctx, nil
}

// forward accepts no cancel any more: one that is accepted is honoured.
func (r *run) forward() {
	r.past = true
	r.progress.Cancelable = false
	r.changed()
}

// handle sets the query and the updates.
func (r *run) handle(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, QueryProgress, func() (Progress, error) { return r.progress, nil }); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateCancel, func(_ workflow.Context, reason string) error {
		r.canceled, r.why = true, reason
		r.evidence("cancel asked for: " + reason)
		r.cancelBefore()
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(string) error { return r.mayCancel() }})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, UpdateRetry, func(_ workflow.Context, reason string) error {
		r.take(Decision{OptionRetry, reason})
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(string) error { return r.mayDecide(OptionRetry) }})
	if err != nil {
		return err
	}
	return r.handleDecisions(ctx)
}

func (r *run) mayCancel() error {
	switch {
	case r.progress.Phase.Final():
		return ontemporal.Error(failure.New(failure.Refused, "the operation is over (%s)", r.progress.Phase))
	case r.past:
		return ontemporal.Error(failure.New(failure.Refused, "the point of no return is passed: the operation goes forward or asks").
			WithNext("when it waits, read its evidence and retry"))
	case r.cancelBefore == nil:
		return ontemporal.Error(failure.New(failure.Refused, "the operation has not begun yet; try again"))
	}
	return nil
}

// finish undoes what can be undone, writes the final state and closes the run.
func (r *run) finish(ctx workflow.Context, err error) (Progress, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	r.forward()
	phase := job.Committed
	if err != nil {
		phase = job.Failed
		if failure.CodeOf(err) == failure.Canceled {
			phase = job.Canceled
		}
		f := failure.Of(err)
		if phase == job.Canceled {
			f = failure.New(failure.Canceled, "canceled by a person before the point of no return: %s", r.why)
		}
		// A hold or a cluster that stays behind would block the job for ever.
		undo := flow.BoundSilence(ctx)
		for undoErr := r.undo.Run(undo); undoErr != nil; undoErr = r.undo.Run(undo) {
			if _, askErr := r.ask(ctx, undoErr, optionRetry); askErr != nil {
				break
			}
		}
		r.progress.Failure = f
	}
	if r.successor != nil {
		r.progress.SupersededBy = r.successor.Operation
	}
	r.end(ctx, phase)
	result, encodeErr := encode(r.progress)
	if encodeErr != nil {
		return r.progress, encodeErr
	}
	finish := activities.FinishIn{Operation: r.in.Operation, Phase: phase, Result: result}
	if _, finishErr := flow.Do(ctx, job.FlowQueue, activities.Finish, finish, "write the result: "+string(phase)); finishErr != nil {
		workflow.GetLogger(ctx).Error("the result is not in the record store", "error", finishErr)
	}
	switch {
	case r.successor != nil: // the lock is never free in between
		return r.progress, r.handOver(ctx)
	case phase == job.Canceled:
		return r.progress, temporal.NewCanceledError(r.progress)
	case err != nil:
		return r.progress, ontemporal.Error(err)
	}
	return r.progress, nil
}
