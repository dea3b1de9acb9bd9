package agent

import (
	"context"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/hdfs"
	"sluice/internal/lease"
)

// stop is stop-with-savepoint, to both of Flink's final answers: the savepoint's
// and the job's. It is on the Lease before it is sent, and a terminal state is
// on the Lease before it is told.
func (a *Agent) stop(ctx context.Context, r *running, in agentapi.StopIn) (agentapi.StopOut, error) {
	if err := checkSavepoint(in); err != nil {
		return agentapi.StopOut{}, err
	}
	state, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) {
		if s.Intent != nil && s.Intent.Generation != a.config.Assignment.Generation {
			return s, failure.New(failure.Refused, "the Lease's submission runs in generation %d, not in this agent's", s.Intent.Generation)
		}
		return s.Stopping(r.Operation, lease.StopSent{FlinkJobID: in.FlinkJobID, TriggerID: in.TriggerID, Directory: in.Directory})
	})
	if err != nil {
		return agentapi.StopOut{}, err
	}
	if stop := state.Hold.Stop; state.Intent.Outcome.Over() && stop.Savepoint != "" {
		// An earlier sending saw the end; the JobManager of today may not know of it.
		return agentapi.StopOut{Savepoint: stop.Savepoint, JobState: string(state.Intent.Outcome)}, nil
	}
	s := a.newSaving(r, in, effect.StopWithSavepoint, a.flink.Stop)
	operation, err := s.follow(ctx)
	if err != nil {
		return agentapi.StopOut{}, err
	}
	out := s.out(operation)
	out.JobState, err = s.settle(ctx, func(j flink.Job) bool {
		// Without a savepoint the job goes on; with one only its end is rest.
		return operation.Location == "" && j.State == flink.Running
	})
	out.TerminalMS = s.ms()
	if err != nil {
		if out.Savepoint != "" {
			err = failure.Of(err).With("savepoint", out.Savepoint)
		}
		return out, err
	}
	if out.Savepoint == "" && out.JobState != flink.Running {
		if out.Savepoint, err = a.findSavepoint(ctx, in.Directory); err != nil {
			return out, err
		}
	}
	if !lease.Outcome(out.JobState).Over() { // it runs on: nothing to write
		return out, nil
	}
	return out, a.recordJobEnd(ctx, in.FlinkJobID, out.JobState, out.Savepoint)
}

// findSavepoint looks into the try's own directory. A job that isn't running any
// more may have ended by an earlier sending of this very stop, whose result
// Flink has forgotten: then the savepoint is there.
func (a *Agent) findSavepoint(ctx context.Context, directory string) (string, error) {
	var found hdfs.Metadata
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		found, err = a.hdfs.FindMetadata(ctx, directory)
		return err
	})
	if failure.CodeOf(err) == failure.NotFound {
		return "", nil
	}
	return found.Location, err
}
