//go:build scenario

package scenario_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// The tenant "faults" runs the agent's test build: it can be told to die at an
// effect. Nothing else differs in it.
func agentKilled(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	w.Apply(V2)
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "submit-job", "after", "kill")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	require.Contains(t, Detail(o.Progress, "submit"), "earlier try had arrived", "the recorded POST was repeated")
	require.GreaterOrEqual(t, w.Restarts(2, "client"), int32(1), "the agent was killed")
	require.EqualValues(t, 2, w.Lease().Epoch, "one submission")
	require.Len(t, w.Savepoints(), 1)
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.Submissions, 2)
}
