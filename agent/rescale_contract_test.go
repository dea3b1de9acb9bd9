//go:build contract

package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/lease"
)

// resize notes a size on the Lease and tells Flink the vertices' parallelisms; it
// returns those at which the job then runs.
func (w *world) resize(step string, from, to int, targets map[string]int) map[string]int {
	w.t.Helper()
	id := w.state().Intent.FlinkJobID
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Resize(w.operation, lease.Size{Generation: 1, FlinkJobID: id, Profile: step, Parallelism: to})
	})
	c := w.command(agentapi.Rescale, step)
	c.Rescale = &agentapi.RescaleIn{FlinkJobID: id, From: from, To: to, Slots: to, Targets: targets}
	require.NotZero(w.t, must[agentapi.RescaleOut](w, c).SentAt)
	await := w.awaitCommand("")
	await.ID += "-" + step
	at := map[string]int{}
	for _, v := range must[agentapi.AwaitOut](w, await).Vertices {
		at[v.ID] = v.Parallelism
	}
	return at
}

// The Counter's source has parallelism and maximum 1 by its own word. At
// parallelism 1 all vertices run at 1: which of them follow, Flink can't say.
func TestOnlyWhatFollowsTheProfileIsRescaled(t *testing.T) {
	w := newWorld(t)
	w.hold()
	submit := w.submitCommand("", w.spec())
	submit.Submit.Parallelism = 1
	must[agentapi.SubmitOut](w, submit)
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	id := w.state().Intent.FlinkJobID

	ask := func(step string, parallelism int) (agentapi.TargetsOut, error) {
		c := w.command(agentapi.Targets, step)
		c.Targets = &agentapi.TargetsIn{FlinkJobID: id, Spec: w.spec(), Parallelism: parallelism, Tenant: "shop"}
		return run[agentapi.TargetsOut](w, c)
	}
	up, err := ask("targets", 2)
	require.NoError(t, err)
	require.Equal(t, 1, up.Changed)
	require.Len(t, up.Before, 2)
	for vertex, parallelism := range up.Before {
		require.Equal(t, 1, parallelism, vertex)
	}
	_, err = ask("too-wide", 200)
	require.Equal(t, failure.Refused, code(err))
	require.ErrorContains(t, err, "above its maximum of 128")
	require.Contains(t, failure.Of(err).Next, "--strategy warm")

	require.Equal(t, up.After, w.resize("up", 1, 2, up.After))
	down, err := ask("targets-down", 1)
	require.NoError(t, err)
	require.Equal(t, agentapi.TargetsOut{Before: up.After, After: up.Before, Changed: 1}, down)
	require.Equal(t, up.Before, w.resize("back", 2, 1, down.After))

	// What Flink itself says of a maximum, where nobody had asked before.
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Resize(w.operation, lease.Size{Generation: 1, FlinkJobID: id, Profile: "guess", Parallelism: 2})
	})
	guess := w.command(agentapi.Rescale, "guess")
	guess.Rescale = &agentapi.RescaleIn{FlinkJobID: id, From: 1, To: 2, Slots: 2}
	_, err = run[agentapi.RescaleOut](w, guess)
	require.Equal(t, failure.Refused, code(err))
	require.Contains(t, failure.Of(err).Next, "--strategy warm")
}
