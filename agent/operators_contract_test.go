//go:build contract

package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// holds says that the operators which were listed before the job ran are those
// that its savepoint has, and that those with state are the ones that keep some.
func (w *world) holds(savepoint string, listed []agentapi.Operator) {
	w.t.Helper()
	stored, err := w.hdfs.ReadSnapshot(w.t.Context(), savepoint)
	require.NoError(w.t, err)
	names, parallelism := map[string]string{}, map[string]int{}
	for _, o := range listed {
		require.False(w.t, o.Generated, "the counter gives every operator a uid: %+v", o)
		names[o.ID], parallelism[o.ID] = o.Name, o.Parallelism
	}
	var all, state []string
	for _, o := range stored.Operators {
		w.t.Logf("operator %s %-18s parallelism %d of %d, %d bytes, state %v", o.ID, names[o.ID], o.Parallelism, o.MaxParallelism, o.Bytes, o.HasState())
		require.Equal(w.t, parallelism[o.ID], o.Parallelism, names[o.ID])
		all = append(all, names[o.ID])
		if o.HasState() {
			state = append(state, names[o.ID])
			require.Positive(w.t, o.Bytes)
		}
	}
	require.ElementsMatch(w.t, []string{"Source: numbers", "tally", "count", "output: Writer", "output: Committer", "trace"}, all)
	require.Subset(w.t, state, []string{"Source: numbers", "count"})
}

// State without an operator: Flink refuses it, and lets it go where that was
// allowed. What the comparison says before the stop is what Flink says after it.
func TestStateThatNoOperatorTakes(t *testing.T) {
	w := newWorld(t)
	w.hold()
	must[agentapi.SubmitOut](w, w.submitCommand("", w.spec()))
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	w.release()
	w.begin()
	w.hold()
	stopped := must[agentapi.StopOut](w, w.stopCommand("stop"))
	require.Equal(t, flink.Finished, stopped.JobState)

	other := w.spec("--incompatible-state")
	prepare := w.command(agentapi.Prepare, "prepare")
	prepare.Prepare = &agentapi.PrepareIn{Spec: other, Parallelism: 2, Try: 1, Tenant: "shop", Operators: true}
	listed := map[string]bool{}
	for _, o := range must[agentapi.PrepareOut](w, prepare).Operators {
		listed[o.ID] = true
	}
	stored, err := w.hdfs.ReadSnapshot(t.Context(), stopped.Savepoint)
	require.NoError(t, err)
	var lost []string
	for _, o := range stored.Operators {
		if o.HasState() && !listed[o.ID] {
			lost = append(lost, o.ID)
		}
	}
	require.Equal(t, []string{"b71731f1c0df9c3076c4a455334d0ad6"}, lost, `the uid "count"`)

	_, err = run[agentapi.SubmitOut](w, w.submitCommand(stopped.Savepoint, other))
	if err == nil { // the adaptive scheduler takes it and fails then
		_, err = run[agentapi.AwaitOut](w, w.awaitCommand(stopped.Savepoint))
	}
	require.Equal(t, failure.JobFailed, code(err))
	require.ErrorContains(t, err, lost[0])

	allowed := w.submitCommand(stopped.Savepoint, other)
	allowed.ID += "-allowed"
	allowed.Submit.AllowStateLoss = true
	must[agentapi.SubmitOut](w, allowed)
	await := w.awaitCommand(stopped.Savepoint)
	await.ID += "-allowed"
	require.Equal(t, stopped.Savepoint, must[agentapi.AwaitOut](w, await).RestoredPath)
}
