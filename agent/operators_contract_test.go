//go:build contract

package agent

import (
	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
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
