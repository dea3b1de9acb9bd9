//go:build scenario

package scenario_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// restart: the revision that runs, not the newest, on a new generation.
func restart(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V2) // and not rolled out
	o := w.Run(Request(job.Restart))
	require.Equal(t, 1, o.Progress.Revision)
	require.Empty(t, o.Progress.Plan.Changes)
	require.Len(t, w.Savepoints(), 1)
	require.EqualValues(t, 2, w.Lease().Epoch)
	require.Equal(t, 2, w.Lease().ActiveGeneration())
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.HandOvers, 1)
	require.Positive(t, report.Trace.HandOvers[0].PauseMillis, "never two copies at a time")
}

// rollbackToRevision: revision 3 runs and is not wanted. Whoever names none goes
// back to the one before that ran; from then on that is the one in force.
func rollbackToRevision(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	w.Apply(V1.With("--fail-in-main")) // revision 2 never ran
	w.Apply(V2)
	w.Run(Request(job.Upgrade))
	w.Records(900)
	o := w.Run(Request(job.Rollback))
	require.Equal(t, 1, o.Progress.Revision)
	require.Equal(t, "artifact", o.Progress.Plan.Changes[0].Field)
	require.EqualValues(t, 3, w.Lease().Epoch)
	w.Records(1500)

	refused := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Conflict, refused.Progress.Failure.Code)
	require.Contains(t, refused.Progress.Failure.Next, "--revision 3")
	var there struct {
		Current struct{ Revision, Withdrawn int }
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name, nil, &there)
	require.Equal(t, 1, there.Current.Revision)
	require.Equal(t, 3, there.Current.Withdrawn)
	w.Run(Request(job.Stop))
	require.Equal(t, 1, w.Run(Request(job.Start)).Progress.Revision, "not the newest")
	w.Records(2100)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.HandOvers, 3)
}
