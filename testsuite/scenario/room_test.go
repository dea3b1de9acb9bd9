//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// coldWhenUnschedulable: the node has no room for a second TaskManager. Without a
// word for it the operation ends before the job is touched, with the scheduler's
// reason; with one it goes on cold.
func coldWhenUnschedulable(t *testing.T) {
	w := Given(t, "shop")
	w.RunningAs(V1, w.HalfNode())
	before := w.Lease()
	w.Apply(V2)

	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Refused, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "Insufficient memory")
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

// uncheckedWhenNothingFits: the node has no room for a second JobManager either.
// Without a word for it the operation ends before the job is touched. With one the
// job is stopped first and the new revision checked then, in the old one's place:
// where it would lose state, the old one comes back.
func uncheckedWhenNothingFits(t *testing.T) {
	w := Given(t, "shop")
	w.RunningAs(V1, w.ThirdNode())
	before := w.Lease()
	w.Apply(V2.With("--incompatible-state"))

	request := Request(job.Upgrade)
	request.Strategy = job.Cold
	o := w.Fails(request)
	require.Equal(t, failure.Refused, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "Insufficient memory")
	require.Contains(t, o.Progress.Failure.Next, "allowUnchecked")
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	require.Nil(t, w.Lease().Hold)
	w.Until("the cluster that didn't fit is gone", time.Minute, func() bool { return !w.Exists(2) })

	request.AllowUnchecked = true
	o = w.RollsBack(request)
	require.Contains(t, o.Progress.Plan.Unchecked, "Insufficient memory")
	require.Contains(t, o.Progress.Rollback.Why, `"count" (id `+countID)
	require.True(t, o.Progress.Rollback.Exact)
	require.Equal(t, o.Progress.Savepoint, o.Progress.Rollback.RestorePath)
	require.Equal(t, o.Progress.Savepoint, o.Progress.Plan.State.Snapshot, "compared with what was just taken")
	require.False(t, w.Happened(activities.CloseSubmission.Name), "the new cluster got no submission")
	backOnTheOldCluster(t, w, 2)
	w.Until("the refused cluster is gone", time.Minute, func() bool { return !w.Exists(3) })
	w.Records(900)

	w.Apply(V2)
	request = Request(job.Upgrade)
	request.AllowCold, request.AllowUnchecked = true, true
	o = w.Run(request)
	require.Contains(t, o.Progress.Plan.Unchecked, "Insufficient memory")
	require.Contains(t, operatorNames(o.Progress.Plan.State.Kept), "count")
	require.Contains(t, Detail(o.Progress, "workers"), "whole old cluster")
	require.Equal(t, 4, w.Lease().ActiveGeneration())
	w.Records(1500)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.Submissions, 3)
}
