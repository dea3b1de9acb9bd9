package agent

import (
	"context"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/lease"
)

// cancel ends the Lease's submission without a savepoint; its checkpoints stay
// (RETAIN_ON_CANCELLATION). It is on the Lease before it is sent, and the end is
// on the Lease before it is told.
func (a *Agent) cancel(ctx context.Context, r *running, in agentapi.CancelIn) (agentapi.CancelOut, error) {
	state, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) {
		return s.Stopping(r.Operation, lease.StopSent{FlinkJobID: in.FlinkJobID})
	})
	if err != nil {
		return agentapi.CancelOut{}, err
	}
	if state.Intent.Outcome.Over() { // an earlier sending saw the end
		return agentapi.CancelOut{JobState: string(state.Intent.Outcome)}, nil
	}
	found, err := a.awaitCanceled(ctx, r, in.FlinkJobID)
	if err != nil {
		return agentapi.CancelOut{}, err
	}
	savepoint, err := a.leftByStop(ctx, state.Hold.Stop, found)
	if err != nil {
		return agentapi.CancelOut{}, err
	}
	return agentapi.CancelOut{JobState: found.State}, a.recordJobEnd(ctx, found.ID, found.State, savepoint)
}

// leftByStop is the savepoint of a stop that was sent before the cancel. A job that
// finished by it didn't end by itself: recorded so, no start would go on from it.
func (a *Agent) leftByStop(ctx context.Context, sent *lease.StopSent, found flink.Job) (string, error) {
	if found.State != flink.Finished || sent == nil || sent.FlinkJobID != found.ID || sent.Directory == "" {
		return "", nil
	}
	return a.findSavepoint(ctx, sent.Directory)
}

// awaitCanceled sends the cancel until the job is terminal: a cancel that
// arrives twice is harmless.
func (a *Agent) awaitCanceled(ctx context.Context, r *running, id string) (flink.Job, error) {
	silent := time.Time{}
	for p := newPace(20*time.Millisecond, 500*time.Millisecond); ; {
		found, err := a.flink.Job(ctx, id)
		switch code := failure.CodeOf(err); {
		case err == nil && found.Terminal():
			return found, nil
		case code == failure.NotFound:
			return found, failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the job that is to be canceled: it may have restarted")
		case code == failure.Unavailable:
			if silent.IsZero() {
				silent = time.Now()
			}
			if time.Since(silent) > silence {
				return found, failure.Wrap(failure.Unknown, err, "the JobManager has not answered for %s while the job was to be canceled", silence)
			}
		case err != nil:
			return found, err
		default:
			silent = time.Time{}
			if found.State != "CANCELLING" {
				_, _ = do(ctx, effect.CancelJob, id, func(ctx context.Context) (struct{}, error) { // the next look says whether it arrived
					return struct{}{}, a.flink.Cancel(ctx, id)
				})
			}
		}
		r.progress("canceling, the job is " + found.State)
		if err := p.pause(ctx); err != nil {
			return found, err
		}
	}
}
