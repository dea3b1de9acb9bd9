package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// The source runs at 1 by the program's own word, count by the profile's: today
// both run at 1.
var (
	sourceAndCount = []flink.Vertex{
		{ID: "a", Name: "Source: numbers -> tally", Parallelism: 1, Max: 1},
		{ID: "b", Name: "count -> (output: Writer, trace)", Parallelism: 1, Max: 128},
	}
	atOne = map[string]int{"a": 1, "b": 1}
)

func TestWhoFollowsTheProfileIsTheProgramsWord(t *testing.T) {
	out, err := targetsAt(2, atOne, sourceAndCount, []flink.Node{{ID: "a", Parallelism: 1}, {ID: "b", Parallelism: 2}})
	require.NoError(t, err)
	require.Equal(t, agentapi.TargetsOut{Before: atOne, After: map[string]int{"a": 1, "b": 2}, Changed: 1}, out)
}

func TestWhatTheRunningGraphCantBecomeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		parallelism int
		nodes       []flink.Node
		says        string
	}{
		"above a maximum": {200, []flink.Node{{ID: "a", Parallelism: 1}, {ID: "b", Parallelism: 200}}, `"count -> (output: Writer, trace)" would run at parallelism 200, above its maximum of 128`},
		"one more":        {2, []flink.Node{{ID: "a", Parallelism: 1}, {ID: "b", Parallelism: 2}, {ID: "c", Description: "sink<br/>", Parallelism: 1}}, `other vertices than those that run ("sink")`},
		"one less":        {2, []flink.Node{{ID: "b", Parallelism: 2}}, `("Source: numbers -> tally")`},
	} {
		_, err := targetsAt(c.parallelism, atOne, sourceAndCount, c.nodes)
		require.Equal(t, failure.Refused, failure.CodeOf(err), name)
		require.ErrorContains(t, err, c.says, name)
		require.Contains(t, failure.Of(err).Next, "--strategy warm", name)
	}
}

// What the flow read is told as it is: no vertex is guessed.
func TestTheFlowsListIsTold(t *testing.T) {
	list := map[string]int{"a": 1, "b": 2}
	told, err := (&Agent{}).wanted(t.Context(), agentapi.RescaleIn{From: 1, To: 2, Targets: list})
	require.NoError(t, err)
	require.Equal(t, list, told)
}
