package agent

import (
	"context"
	"strings"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// checkpoint triggers one and waits for it: the gate's proof that the job can
// save its state where the platform looks for it, whatever its main overrode.
func (a *Agent) checkpoint(ctx context.Context, r *running, in agentapi.CheckpointIn) (agentapi.CheckpointOut, error) {
	var config flink.CheckpointConfig
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		config, err = a.flink.CheckpointConfig(ctx, in.FlinkJobID)
		return err
	})
	if err != nil {
		return agentapi.CheckpointOut{}, err
	}
	if !config.Enabled {
		return agentapi.CheckpointOut{Disabled: true}, nil
	}
	if !config.Retained {
		return agentapi.CheckpointOut{}, failure.New(failure.Refused, "the job deletes its checkpoints when it is cancelled").
			WithNext("main() overrides execution.checkpointing.externalized-checkpoint-retention, which the platform owns: remove that line")
	}
	id, err := a.takeCheckpoint(ctx, r, in)
	if err != nil {
		return agentapi.CheckpointOut{}, err
	}
	out := agentapi.CheckpointOut{CheckpointID: id}
	err = a.patiently(ctx, func(ctx context.Context) (err error) {
		out.ExternalPath, err = a.checkpointPath(ctx, in.FlinkJobID, id)
		return err
	})
	if err != nil {
		return out, err
	}
	return out, checkPlace(in, out.ExternalPath)
}

// takeCheckpoint triggers and polls; a repeated trigger is known to Flink.
func (a *Agent) takeCheckpoint(ctx context.Context, r *running, in agentapi.CheckpointIn) (int64, error) {
	r.progress("triggering a checkpoint")
	err := a.patiently(ctx, func(ctx context.Context) error {
		_, err := do(ctx, effect.TriggerCheckpoint, in.TriggerID, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, a.flink.Checkpoint(ctx, in.FlinkJobID, in.TriggerID)
		})
		if failure.CodeOf(err) == failure.Unknown {
			err = failure.Wrap(failure.Unavailable, err, "the checkpoint's trigger was not answered")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for p := newPace(10*time.Millisecond, time.Second); ; {
		var operation flink.Operation
		var id int64
		err := a.patiently(ctx, func(ctx context.Context) (err error) {
			operation, id, err = a.flink.CheckpointStatus(ctx, in.FlinkJobID, in.TriggerID)
			return err
		})
		switch {
		case failure.CodeOf(err) == failure.NotFound:
			return 0, failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the checkpoint's trigger any more: it may have restarted")
		case err != nil:
			return 0, err
		case operation.Completed && operation.Cause != "":
			return 0, a.checkpointFailed(ctx, in.FlinkJobID, operation.Cause)
		case operation.Completed:
			return id, nil
		}
		r.progress("waiting for the checkpoint")
		if err := p.pause(ctx); err != nil {
			return 0, err
		}
	}
}

// checkpointFailed says why: the checkpoints of a job that restarts are canceled,
// and what broke it is the news.
func (a *Agent) checkpointFailed(ctx context.Context, job, cause string) error {
	if found, err := a.flink.Job(ctx, job); err == nil && found.State != flink.Running {
		return a.jobFailed(ctx, found)
	}
	return failure.New(failure.JobFailed, "the checkpoint failed: %s", cause)
}

// checkpointPath reads where the checkpoint lies. Flink remembers few: one that
// has gone from its list is answered for by the newest.
func (a *Agent) checkpointPath(ctx context.Context, job string, id int64) (string, error) {
	path, err := a.flink.CheckpointPath(ctx, job, id)
	if failure.CodeOf(err) != failure.NotFound {
		return path, err
	}
	latest, err := a.flink.Checkpoints(ctx, job)
	if err == nil && latest.CompletedID < id {
		return "", failure.New(failure.Unavailable, "Flink's list of checkpoints is not up to date")
	}
	return latest.External, err
}

// checkPlace compares the checkpoint's place with the job's own directory.
func checkPlace(in agentapi.CheckpointIn, external string) error {
	want := strings.TrimRight(pathOf(in.Directory), "/") + "/" + in.FlinkJobID + "/"
	if strings.HasPrefix(pathOf(external)+"/", want) {
		return nil
	}
	return failure.New(failure.Refused, "the job keeps its checkpoints in %s, not below %s", external, want).
		With("external", external).
		WithNext("main() sets a checkpoint storage of its own, which the platform owns: remove that line")
}

// pathOf is a location without scheme and authority.
func pathOf(location string) string {
	_, rest, ok := strings.Cut(location, "://")
	if !ok {
		return location
	}
	_, path, _ := strings.Cut(rest, "/")
	return "/" + strings.TrimLeft(path, "/")
}
