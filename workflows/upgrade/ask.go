package upgrade

import (
	"go.temporal.io/sdk/workflow"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// insist repeats a step behind the point of no return until it works: between
// two tries the operation is open, shows its evidence and waits for a person.
// It never ends with a job silently down.
func (r *run) insist(ctx workflow.Context, step func() error) error {
	for {
		err := step()
		if err == nil || err == errNotStopped { //nolint:errorlint // our own sentinel, never wrapped
			return err
		}
		if err := r.ask(ctx, err); err != nil {
			return err
		}
	}
}

// ask waits for the update "retry".
func (r *run) ask(ctx workflow.Context, cause error) error {
	phase := r.progress.Phase
	f := failure.Of(cause)
	if f.Next == "" {
		_ = f.WithNext("look at the evidence, mend the cause, then: sluice op retry %s", r.in.Operation)
	}
	r.progress.Failure = f
	r.evidence(f.Error())
	r.progress.Retryable = true
	r.enter(ctx, job.Waiting)
	r.wait(ctx, "a person's decision: retry")
	if err := workflow.Await(ctx, func() bool { return r.retry }); err != nil {
		return err
	}
	r.retry = false
	r.try++
	r.progress.Retryable = false
	r.progress.Failure = nil
	r.enter(ctx, phase)
	return nil
}
