//go:build scenario

package scenario_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	"sluice/internal/lease"
	. "sluice/testsuite/scenario"
)

func rescale(to job.Profile) job.Request {
	request := Request(job.Rescale)
	request.Profile = to.Name
	return request
}

// runsAt starts V1 with a profile and lets it publish.
func runsAt(t *testing.T, tenant string, profile job.Profile) *World {
	w := Given(t, tenant)
	w.Profile(Wide)
	w.Profile(Single)
	w.RunningAs(V1, profile)
	return w
}

func inPlaceUp(t *testing.T) {
	w := runsAt(t, "shop", Small)
	before := w.Lease()
	o := w.Run(rescale(Wide))
	require.Equal(t, job.InPlace, o.Progress.Plan.Strategy, o.Progress.Plan.Why)
	require.Contains(t, Detail(o.Progress, "run"), "at parallelism 4")
	require.Positive(t, o.Progress.DowntimeMS)
	after := w.Lease()
	require.Equal(t, before.Epoch, after.Epoch, "nothing was submitted")
	require.Equal(t, before.Generation, after.Generation, "nothing was made")
	require.Equal(t, &lease.Size{Generation: 1, FlinkJobID: before.Intent.FlinkJobID, Profile: Wide.Name, Parallelism: 4}, after.Size)
	require.Zero(t, w.Restarts(1, "taskmanager"))
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

func inPlaceDown(t *testing.T) {
	w := runsAt(t, "shop", Wide)
	o := w.Run(rescale(Small))
	require.Equal(t, job.InPlace, o.Progress.Plan.Strategy, o.Progress.Plan.Why)
	require.Contains(t, Detail(o.Progress, "run"), "at parallelism 2")
	// Flink spreads the tasks as it likes: where both TaskManagers had some, the job
	// restarted once more, and the operation says so.
	w.Say("evidence: %v", o.Progress.Evidence)
	w.Until("one TaskManager is left", time.Minute, func() bool {
		return len(w.Processes("shop", w.Selector(1, "taskmanager"))) == 1
	})
	w.CaughtUp() // a restart is over by then
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

// vertices are the parallelisms at which the job runs, by Flink's own word.
func vertices(t *testing.T, w *World) (at []int) {
	content, code, said := w.Rest(viewer, "/jobs/"+w.Lease().Intent.FlinkJobID)
	require.Zero(t, code, said)
	var found struct {
		Vertices []struct {
			Name        string `json:"name"`
			Parallelism int    `json:"parallelism"`
		} `json:"vertices"`
	}
	require.NoError(t, json.Unmarshal(content, &found))
	w.Say("vertices: %+v", found.Vertices)
	for _, v := range found.Vertices {
		at = append(at, v.Parallelism)
	}
	return at
}

// inPlaceOneToTwo: the Counter's source and what is chained to it have parallelism
// and maximum 1. Two of them would count twice, and Flink would refuse it.
func inPlaceOneToTwo(t *testing.T) {
	w := runsAt(t, "shop", Single)
	require.Equal(t, []int{1, 1}, vertices(t, w))
	for _, to := range []struct {
		profile job.Profile
		at      []int
	}{{Small, []int{1, 2}}, {Single, []int{1, 1}}} {
		o := w.Run(rescale(to.profile))
		require.Equal(t, job.InPlace, o.Progress.Plan.Strategy, o.Progress.Plan.Why)
		require.Equal(t, "1 of 2 vertices change", Detail(o.Progress, "vertices"))
		require.Positive(t, o.Progress.DowntimeMS)
		require.ElementsMatch(t, to.at, vertices(t, w))
		require.Equal(t, to.profile.Parallelism, w.Lease().Size.Parallelism)
		w.CaughtUp()
	}
	require.EqualValues(t, 1, w.Lease().Epoch, "nothing was submitted")
	w.Records(900)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}

func inPlaceKilled(t *testing.T) {
	w := runsAt(t, "faults", Small)
	w.ArmAgent(1, "rescale-job", "after", "hold")
	accepted := w.Begin(rescale(Wide))
	w.Until("the rescale was sent", 2*time.Minute, func() bool {
		return strings.Contains(w.Operation(accepted.Operation).Progress.WaitingFor, "Flink takes parallelism 4") && w.Lease().Size != nil
	})
	w.Kill(w.Processes("faults", w.Selector(1, "jobmanager")))
	w.ArmAgent(1, "rescale-job", "after", "release")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "failure: %+v, evidence: %v", o.Progress.Failure, o.Progress.Evidence)
	require.EqualValues(t, 2, w.Lease().Epoch, "submitted again")
	require.Equal(t, 1, w.Lease().Generation, "to the same cluster")
	require.Contains(t, Detail(o.Progress, "run"), "at parallelism 4")
	w.Records(900)

	w.Kill(w.Processes("faults", w.Selector(1, "jobmanager")))
	var again Operation
	w.Until("the loss is proven, and the job starts again", 2*time.Minute, func() bool {
		start := Request(job.Start)
		start.Profile = ""
		again = w.Wait(w.Begin(start).Operation)
		return again.Phase == job.Committed
	})
	require.Contains(t, Detail(again.Progress, "run"), "at parallelism 4")
	w.CaughtUp()
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("v1")
}
