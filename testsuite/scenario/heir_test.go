//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	"sluice/internal/lease"
	. "sluice/testsuite/scenario"
)

// orphaned begins an upgrade whose run is terminated while the agent waits at an
// effect, and waits until the incident is on record.
func orphaned(w *World, effect, after string) (operation string) {
	w.T.Helper()
	w.Running(V1)
	w.Apply(V2)
	w.ArmAgent(1, effect, "before", "hold")
	operation = w.Begin(Request(job.Upgrade)).Operation
	w.AfterActivity(after)
	w.Until("the agent waits", time.Minute, func() bool {
		if effect == "stop-with-savepoint" {
			hold := w.Lease().Hold
			return hold != nil && hold.Stop != nil
		}
		return w.Underway(activities.AcknowledgeHold.Name)
	})
	w.Terminate()
	w.Until("the hold is told as an incident", 2*time.Minute, func() bool { return w.Incident().HeldBy == operation })
	incident := w.Incident()
	require.Equal(w.T, job.IncidentHold, incident.Kind)
	require.Contains(w.T, incident.What, operation)
	require.Contains(w.T, incident.What, "the next operation takes the hold over")
	require.Empty(w.T, incident.Operation, "none was open")
	require.Equal(w.T, operation, w.Lease().Hold.Operation, "nobody touches the hold but an operation")
	w.ArmAgent(1, effect, "before", "release")
	return operation
}

// terminatedThenUpgraded: a person ends an upgrade's run in Temporal's UI when it
// holds the Lease and its cluster stands, and upgrades again.
func terminatedThenUpgraded(t *testing.T) {
	w := Given(t, "faults")
	dead := orphaned(w, "write-lease", activities.PlaceHold.Name) // the acknowledgement
	require.Nil(t, w.Lease().Hold.Stop)
	o := w.Run(Request(job.Upgrade))
	require.Contains(t, Detail(o.Progress, "take over"), "1 generations removed")
	require.NotEqual(t, dead, o.Operation)
	after := w.Lease()
	require.Nil(t, after.Hold)
	require.Equal(t, 3, after.ActiveGeneration())
	require.Equal(t, lease.Retired, after.Standing(2))
	require.EqualValues(t, 2, after.Epoch, "one submission")
	w.Until("the dead operation's generation is gone", time.Minute, func() bool { return !w.Exists(2) })
	w.Until("the old generation is gone", time.Minute, func() bool { return !w.Exists(1) })
	require.Len(t, w.Savepoints(), 1)
	w.Records(1200)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}

// terminatedInItsStop: the agent goes on with a stop that nobody waits for any
// more. Its savepoint is where the job goes on.
func terminatedInItsStop(t *testing.T) {
	w := Given(t, "faults")
	dead := orphaned(w, "stop-with-savepoint", activities.AcknowledgeHold.Name)
	w.Until("the stop's end is on the Lease", time.Minute, func() bool { return w.Lease().Intent.Outcome == lease.Finished })
	left := w.Lease().Hold.Stop.Savepoint
	require.Contains(t, left, dead)
	refused := w.Fails(Request(job.Upgrade))
	require.Contains(t, refused.Progress.Failure.Next, "sluice op start")
	require.Equal(t, dead, w.Lease().Hold.Operation)

	o := w.Run(Request(job.Start))
	require.Equal(t, left, o.Progress.Plan.RestorePath)
	require.Equal(t, 3, w.Lease().ActiveGeneration())
	require.Nil(t, w.Lease().Hold)
	w.Until("the generations of before are gone", time.Minute, func() bool { return !w.Exists(1) && !w.Exists(2) })
	w.Records(1200)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}
