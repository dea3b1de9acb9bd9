//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// coldWhenUnschedulable: the node has no room for a second TaskManager. Without a
// word for it the operation ends before the job is touched, with the scheduler's
// reason; with one it goes on cold.
func coldWhenUnschedulable(t *testing.T) {
	w := Given(t, "shop")
	wide := w.Wide()
	w.Apply(V1)
	start := Request(job.Start)
	start.Profile = wide.Name
	w.Run(start)
	w.Records(300)
	before := w.Lease()
	w.Apply(V2)

	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Refused, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "Insufficient cpu")
	require.Contains(t, o.Progress.Failure.Next, "allowCold")
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	require.Nil(t, w.Lease().Hold)
	w.Until("the cluster that didn't fit is gone", time.Minute, func() bool { return !w.Exists(2) })

	request := Request(job.Upgrade)
	request.AllowCold = true
	o = w.Run(request)
	require.Contains(t, Detail(o.Progress, "cold"), "after the stop")
	require.Len(t, w.Savepoints(), 1)
	require.Equal(t, 3, w.Lease().ActiveGeneration())
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.HandOvers, 1)
	require.Positive(t, report.Trace.HandOvers[0].PauseMillis, "never two copies at a time")
}
