package agent

import (
	"context"
	"strings"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// stateLimit bounds all of Flink's part: a JobManager that hangs is said to be
// unknown while the caller still listens.
const stateLimit = 8 * time.Second

// state is the agent's view for people and plans. What can't be read is said to
// be unknown, never guessed.
func (a *Agent) state(ctx context.Context) (agentapi.State, error) {
	out := agentapi.State{Generation: a.config.Assignment.Generation, PodUID: a.config.PodUID, Version: Version, JobManager: "up"}
	if last := a.lastSavepoint.Load(); last != nil {
		out.LastSavepoint = *last
	}
	writer, err := a.leases.Get(ctx, a.key)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	overview, err := a.flink.Overview(ctx)
	if err != nil {
		out.JobManager = err.Error()
	}
	out.SlotsTotal, out.SlotsFree = overview.SlotsTotal, overview.SlotsFree
	if writer.Intent != nil && writer.Intent.Generation == out.Generation {
		out.FlinkJobID = writer.Intent.FlinkJobID
		out.JobState, out.Vertices = a.jobState(ctx, out.FlinkJobID)
		if out.JobState == "" || out.JobState == flink.Failed || out.JobState == flink.Canceled {
			busy, err := a.busyWorkers(ctx)
			out.Idle = err == nil && len(busy) == 0
		}
	}
	return out, nil
}

// jobState is Flink's word; "" is this JobManager's alone: another one may have
// run the job.
func (a *Agent) jobState(ctx context.Context, id string) (string, []agentapi.Vertex) {
	found, err := a.flink.Job(ctx, id)
	switch {
	case err == nil:
		return found.State, heads(found.Vertices)
	case failure.CodeOf(err) == failure.NotFound:
		return "", nil
	}
	return "UNKNOWN", nil
}

// heads names each vertex by its first operator: Flink's name is "a -> (b, c -> d)".
func heads(vertices []flink.Vertex) []agentapi.Vertex {
	var all []agentapi.Vertex
	for _, v := range vertices[:min(len(vertices), agentapi.MaxNamedOperators)] {
		head, _, _ := strings.Cut(v.Name, " -> ")
		all = append(all, agentapi.Vertex{ID: v.ID, Name: agentapi.OperatorName(head), Parallelism: v.Parallelism})
	}
	return all
}
