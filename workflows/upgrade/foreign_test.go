package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

const (
	handedOver = "hdfs://nn/handed-over/sp"
	copied     = "hdfs://nn/sluice/jobs/U/savepoints/OP-foreign-1"
)

// foreign is a job that never ran and starts from a snapshot that isn't its own.
type foreign struct {
	*world
	asked    []activities.ReadStateIn
	recorded []job.Snapshot
	refused  error
	found    activities.ForeignOut
}

func newForeign(t *testing.T, stored activities.ReadStateOut) *foreign {
	t.Helper()
	request := job.Request{Kind: job.Start, FromSnapshot: handedOver}
	w := &foreign{
		world: newWorld(t, request),
		found: activities.ForeignOut{Path: handedOver, CheckpointID: 12, Version: 4, Files: 3, Bytes: 99},
	}
	w.facts = stoppedFacts(request, lease.Finished)
	w.facts.Target.Current, w.facts.Target.CurrentSpec, w.facts.Target.EverSnapshot = activities.Current{}, nil, false
	w.state = lease.State{JobUID: "U"}
	on(w.world, activities.InspectForeign, func(in activities.ForeignIn) (activities.ForeignOut, error) {
		require.Equal(t, activities.ForeignIn{Tenant: "shop", Location: handedOver}, in)
		return w.found, ontemporal.Error(w.refused)
	})
	on(w.world, activities.CopyForeign, func(in activities.ForeignIn) (activities.ForeignOut, error) {
		require.Equal(t, activities.ForeignIn{Tenant: "shop", Location: handedOver, UID: "U", Operation: "OP"}, in)
		out := w.found
		out.Path = copied
		return out, nil
	})
	on(w.world, activities.PrepareCluster, func(activities.AgentIn) (agentapi.PrepareOut, error) {
		return agentapi.PrepareOut{Operators: newGraph}, nil
	})
	on(w.world, activities.ReadState, func(in activities.ReadStateIn) (activities.ReadStateOut, error) {
		w.asked = append(w.asked, in)
		return stored, nil
	})
	on(w.world, activities.RemoveForeign, func(activities.ForeignIn) (activities.None, error) { return activities.None{}, nil })
	on(w.world, activities.RecordSnapshot, func(in activities.RecordSnapshotIn) (activities.None, error) {
		w.recorded = append(w.recorded, in.Snapshot)
		return activities.None{}, nil
	})
	return w
}

func TestAForeignSnapshotIsCopiedComparedAndRecordedBeforeItsSubmission(t *testing.T) {
	w := newForeign(t, activities.ReadStateOut{Path: copied})
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Less(t, w.index(activities.InspectForeign.Name), w.index(activities.ReserveGeneration.Name))
	require.Less(t, w.index(activities.CopyForeign.Name), w.index(activities.ReadState.Name))
	require.Less(t, w.index(activities.ReadState.Name), w.index(activities.RecordSnapshot.Name))
	require.Less(t, w.index(activities.RecordSnapshot.Name), w.index(activities.SubmitJob.Name))
	require.Equal(t, []activities.ReadStateIn{{Path: copied}}, w.asked, "the copy is what counts")
	require.Len(t, w.submits, 1)
	require.Equal(t, copied, w.submit(0).RestorePath)
	require.Equal(t, []job.Snapshot{{Epoch: 1, CheckpointID: 7, Path: copied, Kind: job.Foreign, Operation: "OP"}}, w.recorded)
	require.Equal(t, -1, w.index(activities.RemoveForeign.Name))
	require.Contains(t, w.progress(t).Plan.Restore, "a copy of "+handedOver)
}

func TestAForeignSnapshotThatDoesntFitLeavesNothingBehind(t *testing.T) {
	w := newForeign(t, oldState)
	w.run()
	require.Equal(t, failure.Incompatible, w.progress(t).Failure.Code)
	require.Empty(t, w.submits)
	require.Empty(t, w.recorded, "the job has no state of its own yet")
	require.Positive(t, w.index(activities.RemoveForeign.Name))
}

func TestAForeignSnapshotIsJudgedInThePlan(t *testing.T) {
	for name, c := range map[string]struct {
		refused error
		version int32
	}{
		"not allowed":         {failure.New(failure.Refused, "snapshots below / may not be taken over").WithNext("n"), 4},
		"not there":           {failure.New(failure.NotFound, "x does not exist"), 4},
		"of a newer Flink":    {nil, 6},
		"of a format to come": {nil, 7},
	} {
		t.Run(name, func(t *testing.T) {
			w := newForeign(t, activities.ReadStateOut{})
			w.refused, w.found.Version = c.refused, c.version
			w.run()
			f := w.progress(t).Failure
			require.Equal(t, failure.Refused, f.Code, f.Message)
			require.NotEmpty(t, f.Next)
			require.Equal(t, -1, w.index(activities.ReserveGeneration.Name), "nothing was made")
		})
	}
}

func TestAPlanFromAForeignSnapshotOnlyLooks(t *testing.T) {
	looks = append(looks, activities.InspectForeign.Name)
	w := newForeign(t, activities.ReadStateOut{})
	plan, err := w.plans(t, "P", nil)
	require.NoError(t, err)
	require.Equal(t, handedOver, plan.RestorePath)
	require.Contains(t, plan.Steps, "copy the snapshot")
	other := newForeign(t, activities.ReadStateOut{})
	other.found.CheckpointID++
	changed, err := other.plans(t, "P", nil)
	require.NoError(t, err)
	require.NotEqual(t, plan.Digest, changed.Digest, "another snapshot is another plan")
}

// A copy that an operation made and didn't submit from is no part of the lineage,
// however high its id.
func TestACopyIsNoLinkOfTheLineage(t *testing.T) {
	f := stoppedFacts(job.Request{Kind: job.Start}, lease.Finished)
	f.Snapshots = []job.Snapshot{
		{Epoch: 5, CheckpointID: 900, Path: copied, Kind: job.Foreign}, {Epoch: 5, CheckpointID: 7, Path: savepoint, Kind: "savepoint"},
	}
	path, err := upgrade.Restore(f)
	require.NoError(t, err)
	require.Equal(t, savepoint, path)
}
