package agent

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// maxSoak bounds the watching, in seconds.
const maxSoak = 24 * 3600

// soak watches the job for a while. Seeing it RUNNING at each look is not
// enough: a restart fits between two looks, so its traces are compared.
func (a *Agent) soak(ctx context.Context, r *running, in agentapi.SoakIn) (agentapi.SoakOut, error) {
	if in.Seconds < 0 || in.Seconds > maxSoak {
		return agentapi.SoakOut{}, failure.New(failure.Invalid, "a soak lasts 0 to %d seconds, not %d", maxSoak, in.Seconds)
	}
	first, err := a.look(ctx, in.FlinkJobID)
	if err != nil {
		return agentapi.SoakOut{}, err
	}
	for end := time.Now().Add(time.Duration(in.Seconds) * time.Second); ; {
		left := time.Until(end)
		if left <= 0 {
			return agentapi.SoakOut{Restarts: 0}, nil
		}
		r.progress(fmt.Sprintf("watching for restarts, %d s to go", int(left.Seconds()+1)/5*5))
		if err := newPace(min(left, 500*time.Millisecond), time.Second).pause(ctx); err != nil {
			return agentapi.SoakOut{}, err
		}
		now, err := a.look(ctx, in.FlinkJobID)
		if err != nil {
			return agentapi.SoakOut{}, err
		}
		if now != first {
			cause := a.exception(ctx, in.FlinkJobID)
			return agentapi.SoakOut{}, failure.New(failure.JobFailed, "the job restarted while it was watched: %s", cause).With("exception", cause)
		}
	}
}

// traces are what a restart changes for good: when the job last began to run or
// restart, when its vertices started, how often it restored.
type traces struct {
	running, restarting, started, restored int64
}

func (a *Agent) look(ctx context.Context, id string) (traces, error) {
	var found flink.Job
	var checkpoints flink.Checkpoints
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		if found, err = a.flink.Job(ctx, id); err != nil {
			return err
		}
		checkpoints, err = a.flink.Checkpoints(ctx, id)
		return err
	})
	switch {
	case failure.CodeOf(err) == failure.NotFound:
		return traces{}, failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the job any more: it may have restarted")
	case err != nil:
		return traces{}, err
	case found.Terminal():
		if err := a.recordJobEnd(ctx, found); err != nil {
			return traces{}, err
		}
		return traces{}, a.jobFailed(ctx, found)
	case found.State != flink.Running:
		return traces{}, a.jobFailed(ctx, found)
	}
	t := traces{
		running: found.Timestamps[flink.Running], restarting: found.Timestamps["RESTARTING"], restored: checkpoints.Restored,
	}
	for _, v := range found.Vertices {
		t.started += v.Start
	}
	return t, nil
}
