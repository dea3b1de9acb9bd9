// Package agent implements the agent's activities: each puts its command to the
// agent of one generation, follows it, heartbeats its progress and returns its
// result or its failure as it was. It decides nothing; a repeated activity puts
// the same command id again.
package agent

import (
	"context"

	"go.temporal.io/sdk/activity"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// Endpoints finds the agent of a generation, if it is one of this site's.
type Endpoints interface {
	Endpoint(identity job.Identity, generation int) (agentapi.Endpoint, error)
}

// Activities of one site.
type Activities struct {
	client    *agentapi.Client
	endpoints Endpoints
}

// New makes them; client is shared by the whole process.
func New(client *agentapi.Client, endpoints Endpoints) *Activities {
	return &Activities{client: client, endpoints: endpoints}
}

// Register registers every activity under its Def's name.
func (a *Activities) Register(registry activities.Registry) {
	activities.Register(registry, activities.AgentState, a.State)
	activities.Register(registry, activities.PrepareCluster, command[agentapi.PrepareOut](a, agentapi.Prepare))
	activities.Register(registry, activities.AcknowledgeHold, command[agentapi.AcknowledgeOut](a, agentapi.Acknowledge))
	activities.Register(registry, activities.StopJob, command[agentapi.StopOut](a, agentapi.Stop))
	activities.Register(registry, activities.TakeSavepoint, command[agentapi.SavepointOut](a, agentapi.Savepoint))
	activities.Register(registry, activities.SubmitJob, command[agentapi.SubmitOut](a, agentapi.Submit))
	activities.Register(registry, activities.CancelJob, command[agentapi.CancelOut](a, agentapi.Cancel))
	activities.Register(registry, activities.CloseSubmission, command[agentapi.CloseOut](a, agentapi.Close))
	activities.Register(registry, activities.AwaitRunning, command[agentapi.AwaitOut](a, agentapi.Await))
	activities.Register(registry, activities.TakeCheckpoint, command[agentapi.CheckpointOut](a, agentapi.Checkpoint))
	activities.Register(registry, activities.SoakJob, command[agentapi.SoakOut](a, agentapi.Soak))
	activities.Register(registry, activities.ReadTargets, command[agentapi.TargetsOut](a, agentapi.Targets))
	activities.Register(registry, activities.RescaleJob, command[agentapi.RescaleOut](a, agentapi.Rescale))
	activities.Register(registry, activities.SpareWorkers, command[agentapi.SpareOut](a, agentapi.Spare))
}

// State reads an agent's view of its cluster.
func (a *Activities) State(ctx context.Context, in activities.AgentIn) (agentapi.State, error) {
	endpoint, err := a.endpoints.Endpoint(in.Identity, in.Generation)
	if err != nil {
		return agentapi.State{}, err
	}
	return a.client.State(ctx, endpoint)
}

// command is the activity of one kind of command.
func command[Out any](a *Activities, kind agentapi.Kind) func(context.Context, activities.AgentIn) (Out, error) {
	return func(ctx context.Context, in activities.AgentIn) (Out, error) {
		if in.Command.Kind != kind || in.Command.Generation != in.Generation {
			var none Out
			return none, failure.New(failure.Internal, "a command %q for generation %d was sent as %q for generation %d", in.Command.Kind, in.Command.Generation, kind, in.Generation)
		}
		endpoint, err := a.endpoints.Endpoint(in.Identity, in.Generation)
		if err != nil {
			var none Out
			return none, err
		}
		return agentapi.Run[Out](ctx, a.client, endpoint, in.Command, tell(ctx))
	}
}

// Progress is an activity's heartbeat.
type Progress struct {
	Text    string `json:"text"`    // the agent's, for people
	Version int64  `json:"version"` // of the command's status
}

// tell heartbeats the agent's progress at each change; the worker's interceptor
// repeats it in between.
func tell(ctx context.Context) func(agentapi.Status) {
	activity.RecordHeartbeat(ctx, Progress{Text: "calling the agent"})
	return func(status agentapi.Status) {
		activity.RecordHeartbeat(ctx, Progress{Text: status.Progress, Version: status.Version})
	}
}
