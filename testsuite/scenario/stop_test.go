//go:build scenario

package scenario_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// upgradeRestarting: a record that the old revision can't take makes it restart
// for ever. Whoever accepts the plan, in which no savepoint is tried, allows to go
// on from the newest checkpoint.
func upgradeRestarting(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.With("--poison", "1500"))
	w.Apply(V2)
	var o Operation
	w.Until("an upgrade that found the job as it was planned", 2*time.Minute, func() bool {
		request := Request(job.Upgrade)
		var plan upgrade.Plan
		w.Want(http.StatusOK, http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(t, request, nil), &plan)
		if !plan.NoSavepoint { // it runs, for a moment
			return false
		}
		request.PlanDigest = plan.Digest
		o = w.Wait(w.Begin(request).Operation)
		return o.Phase != job.Failed || o.Progress.Failure.Code != failure.Conflict
	})
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	require.Contains(t, Detail(o.Progress, "newest"), "/chk-")
	require.NotContains(t, names(o.Progress), "stop")
	require.Empty(t, w.Savepoints(), "none was tried")
	w.Records(1800)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

// stopCrashLooping: whoever accepts the plan, in which no savepoint is tried, has it
// canceled, once its newest checkpoint is proven; the fix goes on from what was kept.
func stopCrashLooping(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.With("--poison", "1500"))
	var o Operation
	w.Until("a stop that found the job as it was planned", 2*time.Minute, func() bool {
		request := Request(job.Stop)
		var plan upgrade.Plan
		w.Want(http.StatusOK, http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(t, request, nil), &plan)
		if !plan.NoSavepoint { // it runs, for a moment
			return false
		}
		require.Contains(t, plan.Keeps, "/chk-")
		request.PlanDigest = plan.Digest
		o = w.Wait(w.Begin(request).Operation)
		return o.Phase != job.Failed || o.Progress.Failure.Code != failure.Conflict
	})
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	require.NotContains(t, names(o.Progress), "stop")
	kept := Detail(o.Progress, "keep")
	require.Contains(t, kept, "/chk-")
	require.Empty(t, w.Savepoints(), "none was tried")
	w.Say("kept %s", kept)

	fixed := w.Apply(V2)
	start := Request(job.Start)
	start.Revision = fixed
	o = w.Run(start)
	require.Equal(t, "restored from "+kept+", at parallelism 2", Detail(o.Progress, "run"))
	w.Records(1800)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

// failedBehindSavepoint: an operator throws when it is closed, behind the
// savepoint. Flink says FAILED and names no savepoint; it is in the try's own
// directory.
func failedBehindSavepoint(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.With("--fail-in-close"))
	w.Apply(V2)
	o := w.Run(Request(job.Upgrade))
	require.Contains(t, Detail(o.Progress, "stop"), "job failed")
	require.Len(t, w.Savepoints(), 1)
	require.Equal(t, o.Progress.Savepoint, Detail(o.Progress, "newest"), "no checkpoint is newer")
	require.Equal(t, "restored from "+o.Progress.Savepoint+", at parallelism 2", Detail(o.Progress, "run"))
	require.Nil(t, o.Progress.Rollback)
	w.Records(1200)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}

// stopAnswerLost: the stop's answer doesn't come, and then the JobManager that
// knew it is gone. Its memory ends with it as it would after an outage longer than
// it keeps a result.
func stopAnswerLost(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	w.Apply(V2)
	w.ArmAgent(1, "stop-with-savepoint", "after", "hold")
	accepted := w.Begin(Request(job.Upgrade))
	w.Until("the savepoint is complete", time.Minute, func() bool { return len(w.Savepoints()) == 1 })
	w.Kill(w.Processes(w.Tenant, w.Selector(1, "jobmanager")))
	w.ArmAgent(1, "stop-with-savepoint", "after", "release")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	require.Contains(t, Detail(o.Progress, "stop"), "job closed", "its end was proven, not told")
	require.Equal(t, "restored from "+o.Progress.Savepoint+", at parallelism 2", Detail(o.Progress, "run"))
	require.Len(t, w.Savepoints(), 1, "one savepoint")
	require.EqualValues(t, 2, w.Lease().Epoch, "one submission")
	w.Records(1200)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1", "v2")
}
