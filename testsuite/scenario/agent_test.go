//go:build scenario

package scenario_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// agentUpgrade puts another build of the agent into the running generation, the one
// that the tenant "faults" uses.
func agentUpgrade(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	w.Run(Request(job.Start))
	w.Records(300)
	before := w.Lease()
	old, agent := w.ReplaceAgent(1, w.FaultsAgent())
	w.Say("the agent of generation 1 is another: %s instead of %s", agent, old)
	require.Equal(t, before, w.Lease(), "no writer changed, nothing was submitted")
	require.Zero(t, w.Restarts(1, "jobmanager"))
	require.Zero(t, w.Restarts(1, "taskmanager"))
	w.Records(900)

	w.Run(Request(job.Savepoint))
	w.Apply(V2)
	w.Run(Request(job.Upgrade))
	require.EqualValues(t, 2, w.Lease().Epoch)
	w.Records(1500)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.Submissions, 2, "the start's and the upgrade's")
}
