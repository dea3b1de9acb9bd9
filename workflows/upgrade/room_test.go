package upgrade_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
)

// full is a world whose node has no room for TaskManagers, as often as said.
func full(t *testing.T, request job.Request, times int) *world {
	t.Helper()
	w := newWorld(t, request)
	on(w, activities.AwaitGeneration, func(in activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
		if times > 0 && slices.Contains(in.Roles, "taskmanager") {
			times--
			return activities.AwaitGenerationOut{}, ontemporal.Error(failure.New(failure.Refused, "there is no room: x can't be placed").
				With(failure.NoRoom, "x can't be placed").WithNext("make room"))
		}
		return activities.AwaitGenerationOut{}, nil
	})
	return w
}

func TestWhatDoesntFitLeavesTheJobAlone(t *testing.T) {
	for _, kind := range []job.Kind{job.Upgrade, job.Restart, job.Rollback} {
		w := full(t, job.Request{Kind: kind}, 1)
		w.facts.Target.Current.Revision = 4
		w.run()
		p := w.progress(t)
		require.Equal(t, job.Failed, p.Phase)
		require.Contains(t, p.Failure.Message, "no room")
		require.Contains(t, p.Failure.Next, "allowCold")
		require.Equal(t, -1, w.index(activities.StopJob.Name))
		require.Equal(t, lease.Retired, w.state.Standing(4), "the new generation goes")
		require.Equal(t, 3, w.state.ActiveGeneration())
	}
}

func TestWhatDoesntFitGoesOnColdWhereItMay(t *testing.T) {
	w := full(t, job.Request{Kind: job.Upgrade, AllowCold: true}, 1)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	var order []string
	for _, call := range w.calls {
		if slices.Contains([]string{activities.ApplyGeneration.Name, activities.AwaitGeneration.Name, activities.ScaleDownWorkers.Name, activities.PrepareCluster.Name, activities.StopJob.Name, activities.SubmitJob.Name}, call) {
			order = append(order, call)
		}
	}
	require.Equal(t, []string{
		activities.ApplyGeneration.Name, activities.AwaitGeneration.Name, // warm
		activities.ScaleDownWorkers.Name, activities.AwaitGeneration.Name, activities.PrepareCluster.Name, activities.StopJob.Name,
	}, order[:6])
	require.ElementsMatch(t, []string{activities.ScaleDownWorkers.Name, activities.ApplyGeneration.Name}, order[6:8], "they change places")
	require.Equal(t, []string{activities.AwaitGeneration.Name, activities.SubmitJob.Name}, order[8:], "and are there before the submission")
	require.Contains(t, w.progress(t).Evidence, "on cold: x can't be placed")
}

// Not even without the old TaskManagers: the old revision comes back from the
// savepoint.
func TestWhatDoesntFitBehindTheStopIsRolledBack(t *testing.T) {
	for name, c := range map[string]struct {
		request job.Request
		times   int
	}{
		"asked for cold": {job.Request{Kind: job.Upgrade, Strategy: job.Cold}, 1},
		"went on cold":   {job.Request{Kind: job.Upgrade, AllowCold: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := full(t, c.request, c.times)
			w.run()
			p := w.progress(t)
			require.Equal(t, job.Failed, p.Phase)
			require.Contains(t, p.Failure.Message, "no room")
			require.Equal(t, savepoint, p.Rollback.RestorePath)
			require.True(t, p.Rollback.Exact)
			require.Len(t, w.submits, 1)
			require.Equal(t, 3, w.submits[0].Generation)
			require.Positive(t, w.index(activities.RestoreWorkers.Name))
			require.Equal(t, 3, w.state.ActiveGeneration())
			require.Nil(t, w.state.Hold)
		})
	}
}
