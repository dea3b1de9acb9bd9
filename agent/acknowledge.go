package agent

import (
	"context"

	"sluice/internal/agentapi"
	"sluice/internal/lease"
)

// acknowledge notes on the Lease that this agent has seen the hold and nothing
// of it is in flight. The hold itself keeps other operations' commands out, so
// what is waited for here can't be followed by more.
func (a *Agent) acknowledge(ctx context.Context, r *running, _ struct{}) (agentapi.AcknowledgeOut, error) {
	if err := a.quiet(ctx, r); err != nil {
		return agentapi.AcknowledgeOut{}, err
	}
	_, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) {
		return s.Acknowledged(r.Operation, a.config.PodUID)
	})
	return agentapi.AcknowledgeOut{PodUID: a.config.PodUID}, err
}
