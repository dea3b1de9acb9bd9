package agent

import (
	"context"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
)

// state is the agent's view for people and plans. What can't be read is said to
// be unknown, never guessed.
func (a *Agent) state(ctx context.Context) (agentapi.State, error) {
	out := agentapi.State{Generation: a.config.Assignment.Generation, PodUID: a.config.PodUID, Version: Version, JobManager: "up"}
	overview, err := a.flink.Overview(ctx)
	if err != nil {
		out.JobManager = err.Error()
	}
	out.SlotsTotal, out.SlotsFree = overview.SlotsTotal, overview.SlotsFree

	writer, err := a.leases.Get(ctx, a.key)
	if err != nil {
		return out, err
	}
	if last := a.lastSavepoint.Load(); last != nil {
		out.LastSavepoint = *last
	}
	if writer.Intent == nil || writer.Intent.Generation != out.Generation {
		return out, nil
	}
	out.FlinkJobID = writer.Intent.FlinkJobID
	job, err := a.flink.Job(ctx, out.FlinkJobID)
	switch {
	case err == nil:
		out.JobState = job.State
	case failure.CodeOf(err) == failure.NotFound: // this JobManager's word only
		out.JobState = ""
	default:
		out.JobState = "UNKNOWN"
	}
	return out, nil
}
