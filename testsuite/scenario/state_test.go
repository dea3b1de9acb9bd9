//go:build scenario

package scenario_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// countID is the operator id of the uid "count".
const countID = "b71731f1c0df9c3076c4a455334d0ad6"

func incompatibleState(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	before := w.Lease()

	w.Apply(V2.With("--incompatible-state"))
	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Incompatible, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, `"count" (id `+countID)
	require.Contains(t, o.Progress.Failure.Next, "allowStateLoss")
	state := o.Progress.Plan.State
	require.Equal(t, 1, state.Lost.Total)
	require.Equal(t, countID, state.Lost.Operators[0].ID)
	require.Positive(t, state.Lost.Operators[0].Bytes)
	require.Contains(t, state.Snapshot, "/checkpoints/"+before.Intent.FlinkJobID+"/chk-")
	require.Contains(t, operatorNames(state.New), "count")
	require.Positive(t, state.Kept.Total, "source and sink keep theirs")
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	require.Equal(t, 1, w.Lease().ActiveGeneration())
	require.Nil(t, w.Lease().Hold)

	// The same job graph with its state goes on, and says that all of it is kept.
	w.Apply(V2)
	state = w.Run(Request(job.Upgrade)).Progress.Plan.State
	require.Zero(t, state.Lost.Total+state.New.Total+state.TooWide.Total)
	require.Contains(t, operatorNames(state.Kept), "count")
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.Submissions, 2, "the refused one never ran")
}

func operatorNames(l upgrade.OperatorList) []string {
	all := make([]string, len(l.Operators))
	for i, o := range l.Operators {
		all[i] = o.Name
	}
	return all
}
