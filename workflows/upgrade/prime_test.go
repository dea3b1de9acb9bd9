package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/lease"
)

// The primer shortens the pause between two submissions. Where nothing runs it
// would only take its seconds.
func TestTheClusterIsPrimedWhereAJobIsStoppedForIt(t *testing.T) {
	for kind, primed := range map[job.Kind]bool{job.Upgrade: true, job.Restart: true, job.Start: false} {
		w := newWorld(t, job.Request{Kind: kind, Stateless: kind == job.Start})
		if kind == job.Start {
			w.facts = stoppedFacts(job.Request{Kind: kind, Stateless: true}, lease.Finished)
			w.state = w.facts.Lease.State
		}
		var in *agentapi.PrepareIn
		on(w, activities.PrepareCluster, func(command activities.AgentIn) (agentapi.PrepareOut, error) {
			in = command.Command.Prepare
			return agentapi.PrepareOut{}, nil
		})
		w.run()
		require.NoError(t, w.env.GetWorkflowError(), kind)
		require.NotNil(t, in, kind)
		require.Equal(t, primed, in.Prime, kind)
	}
}
