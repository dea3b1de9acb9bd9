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
// enough: a restart fits between two looks, or between await and the first one, so
// its traces are compared.
func (a *Agent) soak(ctx context.Context, r *running, in agentapi.SoakIn) (agentapi.SoakOut, error) {
	if in.Seconds < 0 || in.Seconds > maxSoak {
		return agentapi.SoakOut{}, failure.New(failure.Invalid, "a soak lasts 0 to %d seconds, not %d", maxSoak, in.Seconds)
	}
	since := in.Since
	for end := time.Now().Add(time.Duration(in.Seconds) * time.Second); ; {
		now, err := a.look(ctx, in.FlinkJobID)
		if err != nil {
			return agentapi.SoakOut{}, err
		}
		if since == (agentapi.Traces{}) { // the flow's history is older than the field
			since = now
		}
		if now != since {
			cause := a.exception(ctx, in.FlinkJobID)
			return agentapi.SoakOut{}, failure.New(failure.JobFailed, "the job restarted while it was watched: %s", cause).With("exception", cause)
		}
		left := time.Until(end)
		if left <= 0 {
			return agentapi.SoakOut{Restarts: 0}, nil
		}
		r.progress(fmt.Sprintf("watching for restarts, %d s to go", int(left.Seconds()+1)/5*5))
		if err := newPace(min(left, 500*time.Millisecond), time.Second).pause(ctx); err != nil {
			return agentapi.SoakOut{}, err
		}
	}
}

func (a *Agent) look(ctx context.Context, id string) (agentapi.Traces, error) {
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
		return agentapi.Traces{}, failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the job any more: it may have restarted")
	case err != nil:
		return agentapi.Traces{}, err
	case found.Terminal():
		if err := a.recordJobEnd(ctx, found.ID, found.State, ""); err != nil {
			return agentapi.Traces{}, err
		}
		return agentapi.Traces{}, a.jobFailed(ctx, found)
	case found.State != flink.Running:
		return agentapi.Traces{}, a.jobFailed(ctx, found)
	}
	return tracesOf(found, checkpoints), nil
}

func tracesOf(found flink.Job, checkpoints flink.Checkpoints) agentapi.Traces {
	traces := agentapi.Traces{
		Running: found.Timestamps[flink.Running], Restarting: found.Timestamps["RESTARTING"], Restored: checkpoints.Restored,
	}
	for _, v := range found.Vertices {
		traces.Started += v.Start
	}
	return traces
}
