package agent

import (
	"context"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/lease"
)

// kind says how a command is run. The commands' code is in the file of their
// name.
type kind struct {
	effects bool // it can change something outside: acknowledge waits for its end
	run     func(*Agent, context.Context, *running) (any, error)
}

var kinds map[agentapi.Kind]kind

func init() { // not a literal: the methods refer to kinds
	kinds = map[agentapi.Kind]kind{
		agentapi.Prepare:     {true, with((*Agent).prepare, func(c *running) *agentapi.PrepareIn { return c.Prepare })},
		agentapi.Acknowledge: {false, with((*Agent).acknowledge, func(*running) *struct{} { return &struct{}{} })},
		agentapi.Stop:        {true, with((*Agent).stop, func(c *running) *agentapi.StopIn { return c.Stop })},
		agentapi.Savepoint:   {true, with((*Agent).savepoint, func(c *running) *agentapi.SavepointIn { return c.Savepoint })},
		agentapi.Submit:      {true, with((*Agent).submit, func(c *running) *agentapi.SubmitIn { return c.Submit })},
		agentapi.Cancel:      {true, with((*Agent).cancel, func(c *running) *agentapi.CancelIn { return c.Cancel })},
		agentapi.Close:       {true, with((*Agent).closeSubmission, func(c *running) *agentapi.CloseIn { return c.Close })},
		agentapi.Await:       {false, with((*Agent).await, func(c *running) *agentapi.AwaitIn { return c.Await })},
		agentapi.Checkpoint:  {true, with((*Agent).checkpoint, func(c *running) *agentapi.CheckpointIn { return c.Checkpoint })},
		agentapi.Soak:        {false, with((*Agent).soak, func(c *running) *agentapi.SoakIn { return c.Soak })},
		agentapi.Targets:     {true, with((*Agent).targets, func(c *running) *agentapi.TargetsIn { return c.Targets })},
		agentapi.Rescale:     {true, with((*Agent).rescale, func(c *running) *agentapi.RescaleIn { return c.Rescale })},
		agentapi.Spare:       {false, with((*Agent).spare, func(c *running) *agentapi.SpareIn { return c.Spare })},
	}
}

// with makes a typed command's method callable for all.
func with[In, Out any](run func(*Agent, context.Context, *running, In) (Out, error), field func(*running) *In) func(*Agent, context.Context, *running) (any, error) {
	return func(a *Agent, ctx context.Context, r *running) (any, error) {
		in := field(r)
		if in == nil {
			return nil, failure.New(failure.Invalid, "command %s of kind %s lacks its field", r.ID, r.Kind)
		}
		return run(a, ctx, r, *in)
	}
}

// execute checks a command against the Lease and runs it.
func (a *Agent) execute(ctx context.Context, r *running) (any, error) {
	started := time.Now()
	ctx, done := watch(ctx, r.Command)
	out, err := a.checked(ctx, r)
	done(err)
	log := a.log.With("command", r.ID, "kind", r.Kind, "operation", r.Operation, "ms", time.Since(started).Milliseconds())
	if err != nil {
		log.WarnContext(ctx, "command failed", "error", err)
	} else {
		log.InfoContext(ctx, "command done")
	}
	return out, err
}

func (a *Agent) checked(ctx context.Context, r *running) (any, error) {
	k, known := kinds[r.Kind]
	if !known {
		return nil, agentapi.Outdated("this agent (protocol %d) has no command of kind %q", agentapi.Protocol, r.Kind)
	}
	if r.Generation != a.config.Assignment.Generation {
		return nil, failure.New(failure.Refused, "this agent serves generation %d, the command is for %d", a.config.Assignment.Generation, r.Generation)
	}
	state, err := a.readLease(ctx)
	if err != nil {
		return nil, err
	}
	if err := allowed(state, r.Command); err != nil {
		return nil, err
	}
	return k.run(a, ctx, r)
}

// allowed says whether the Lease lets a command act now (DESIGN §3). What each
// command needs beyond that, its own swap checks.
func allowed(state lease.State, command agentapi.Command) error {
	if state.Standing(command.Generation) == lease.Retired {
		return failure.New(failure.Refused, "generation %d is retired and never acts again", command.Generation)
	}
	if state.Hold != nil && state.Hold.Operation != command.Operation {
		return failure.New(failure.Refused, "the Lease is held by operation %s; a command of %s is refused", state.Hold.Operation, command.Operation)
	}
	if repeatsIntent(state, command) {
		return nil
	}
	if command.Epoch < state.Epoch {
		return failure.New(failure.Refused, "the command believes epoch %d, the Lease is at %d", command.Epoch, state.Epoch)
	}
	if command.Epoch > state.Epoch && command.Kind != agentapi.Submit {
		return failure.New(failure.Refused, "the command has seen epoch %d, but the Lease is at %d: it went back", command.Epoch, state.Epoch).
			WithNext("somebody restored or edited the Lease; nothing is submitted until it is repaired")
	}
	return nil
}

// repeatsIntent is the one command that may believe an older epoch: the submit
// whose own intent raised it.
func repeatsIntent(state lease.State, command agentapi.Command) bool {
	return command.Kind == agentapi.Submit && command.Submit != nil && state.Intent != nil &&
		state.Intent.Epoch == command.Submit.Epoch && state.Intent.Operation == command.Operation &&
		state.Epoch == command.Submit.Epoch
}
