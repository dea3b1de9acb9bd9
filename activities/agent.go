package activities

import (
	"sluice/internal/agentapi"
	"sluice/internal/job"
)

// The agent's activities (activities/agent). Each puts one command with an id
// of the flow's choice and waits for it, heartbeating the agent's progress. An
// agent that restarted gets the same command again.
var (
	AgentState      = Def[AgentIn, agentapi.State]{"agent.State", Quick}
	PrepareCluster  = Def[AgentIn, agentapi.PrepareOut]{"agent.Prepare", Await}
	AcknowledgeHold = Def[AgentIn, agentapi.AcknowledgeOut]{"agent.AcknowledgeHold", Await}
	StopJob         = Def[AgentIn, agentapi.StopOut]{"agent.StopWithSavepoint", Await}
	TakeSavepoint   = Def[AgentIn, agentapi.SavepointOut]{"agent.TakeSavepoint", Await}
	SubmitJob       = Def[AgentIn, agentapi.SubmitOut]{"agent.SubmitJob", Await}
	CancelJob       = Def[AgentIn, agentapi.CancelOut]{"agent.CancelJob", Await}
	CloseSubmission = Def[AgentIn, agentapi.CloseOut]{"agent.CloseSubmission", Await}
	AwaitRunning    = Def[AgentIn, agentapi.AwaitOut]{"agent.AwaitRunning", Await}
	TakeCheckpoint  = Def[AgentIn, agentapi.CheckpointOut]{"agent.TakeCheckpoint", Await}
	SoakJob         = Def[AgentIn, agentapi.SoakOut]{"agent.Soak", Await}
	ReadTargets     = Def[AgentIn, agentapi.TargetsOut]{"agent.ReadTargets", Await}
	RescaleJob      = Def[AgentIn, agentapi.RescaleOut]{"agent.Rescale", Await}
	SpareWorkers    = Def[AgentIn, agentapi.SpareOut]{"agent.SpareWorkers", Await}
)

// AgentIn addresses the agent of one generation with one command. Command.ID
// is decided by the flow: "<operation>-<step>-<try>".
type AgentIn struct {
	Identity   job.Identity     `json:"identity"`
	Generation int              `json:"generation"`
	Command    agentapi.Command `json:"command"`
}
