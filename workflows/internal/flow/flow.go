// Package flow holds what every flow shares: how a Def is called (its class of
// work), the undo stack, and the story that people read in Temporal's UI.
package flow

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
)

// HeartbeatTimeout is how long a worker may be silent before its activity is
// given to another: the bound on what a killed worker costs a stopped job. The
// worker's interceptor heartbeats for every activity.
const HeartbeatTimeout = 4 * time.Second

// patience bounds every activity: an outside that is away for longer is a
// person's matter. Nothing is declared failed before.
const patience = 24 * time.Hour

// silence is how often an agent that doesn't answer is tried where somebody waits
// for it with a stopped job: two to five minutes. An attempt counts only where a
// worker made it, so that the platform's own outage is no agent's silence.
const silence = 15

type boundSilence struct{}

// BoundSilence gives a context on which an agent that doesn't answer is an error
// (failure.Unavailable) after some minutes, not after a day: for what lies behind
// a stop, where a person must hear of it.
func BoundSilence(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, boundSilence{}, true)
}

// Patient takes BoundSilence back.
func Patient(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, boundSilence{}, nil)
}

// Do calls an activity on a task queue with the options of its class. summary
// is one line for Temporal's UI. The error is a *failure.Error.
func Do[In, Out any](ctx workflow.Context, queue string, def activities.Def[In, Out], in In, summary string) (Out, error) {
	return Go(ctx, queue, def, in, summary).Get(ctx)
}

// Future is a call under way.
type Future[Out any] struct{ inner workflow.Future }

// Go starts an activity without waiting for it.
func Go[In, Out any](ctx workflow.Context, queue string, def activities.Def[In, Out], in In, summary string) Future[Out] {
	if ctx.Value(readOnly{}) != nil && def.Class != activities.Quick {
		refused, set := workflow.NewFuture(ctx)
		set.SetError(failure.New(failure.Internal, "%s is no look: this flow must have no effects", def.Name))
		return Future[Out]{refused}
	}
	o := options(def.Class, queue, summary)
	if _, agents := any(in).(activities.AgentIn); agents && ctx.Value(boundSilence{}) != nil {
		o.RetryPolicy.MaximumAttempts = silence
	}
	return Future[Out]{workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, o), def.Name, in)}
}

type readOnly struct{}

// ReadOnly gives a context on which only looks are taken: activities of the
// class Quick. Any other is refused as a bug of ours.
func ReadOnly(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, readOnly{}, true)
}

// Get waits for the result.
func (f Future[Out]) Get(ctx workflow.Context) (Out, error) {
	var out Out
	if err := f.inner.Get(ctx, &out); err != nil {
		return out, ontemporal.Failure(err)
	}
	return out, nil
}

// options gives each class its bounds. Retries are bounded by time, and by number
// only on BoundSilence: the ids of the effects make them harmless.
func options(class activities.Class, queue, summary string) workflow.ActivityOptions {
	o := workflow.ActivityOptions{
		TaskQueue:              queue,
		Summary:                summary,
		ScheduleToCloseTimeout: patience,
		HeartbeatTimeout:       HeartbeatTimeout,
		WaitForCancellation:    true,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    10 * time.Second,
		},
	}
	switch class {
	case activities.Quick:
		o.StartToCloseTimeout = 20 * time.Second
	case activities.Effect:
		o.StartToCloseTimeout = time.Minute
	case activities.Await:
		o.StartToCloseTimeout = 2 * time.Hour
	}
	return o
}
