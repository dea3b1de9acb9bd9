package kube

import (
	"sluice/internal/agentapi"
	"sluice/internal/job"
)

// Endpoint is how to reach a generation's agent. A job of another tenant's
// namespace or of another site has none here.
func (a *Activities) Endpoint(identity job.Identity, generation int) (agentapi.Endpoint, error) {
	if _, err := a.tenant(identity); err != nil {
		return agentapi.Endpoint{}, err
	}
	return agentapi.EndpointOf(identity, generation), nil
}
