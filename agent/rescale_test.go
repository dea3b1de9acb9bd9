package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/lease"
)

func TestOnlyTheSizeOnTheLeaseIsTold(t *testing.T) {
	size := lease.Size{Generation: 3, FlinkJobID: "F5", Profile: "promotion", Parallelism: 4}
	require.NoError(t, checkSize(lease.State{Size: &size}, 3, agentapi.RescaleIn{FlinkJobID: "F5", To: 4}))
	for name, c := range map[string]struct {
		size       *lease.Size
		generation int
		in         agentapi.RescaleIn
	}{
		"none":               {nil, 3, agentapi.RescaleIn{FlinkJobID: "F5", To: 4}},
		"another":            {&size, 3, agentapi.RescaleIn{FlinkJobID: "F5", To: 8}},
		"another submission": {&size, 3, agentapi.RescaleIn{FlinkJobID: "F6", To: 4}},
		"another generation": {&size, 4, agentapi.RescaleIn{FlinkJobID: "F5", To: 4}},
	} {
		require.Equal(t, failure.Refused, failure.CodeOf(checkSize(lease.State{Size: c.size}, c.generation, c.in)), name)
	}
}
