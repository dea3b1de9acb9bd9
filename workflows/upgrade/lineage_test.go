package upgrade_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// The newest snapshot lost a file: nothing is made, and none older is taken in its
// place without a word.
func TestASnapshotThatLostAFileIsNotStartedFrom(t *testing.T) {
	w := starting(t)
	w.facts.Snapshots = append(w.facts.Snapshots, job.Snapshot{Epoch: 5, CheckpointID: 3, Path: "an older one"})
	var looked []string
	w.env.OnActivity(activities.VerifySnapshot.Name, anything, anything).Return(func(_ context.Context, in activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
		looked = append(looked, in.Path)
		return activities.VerifySnapshotOut{}, ontemporal.Error(failure.New(failure.Incompatible, "/s names /s/op-1 with 9 bytes of state, but that is not there"))
	})
	w.run()
	require.Equal(t, job.Failed, w.finished.Phase)
	require.Equal(t, []string{savepoint}, looked)
	require.Empty(t, w.submits)
	var result upgrade.Progress
	require.NoError(t, json.Unmarshal(w.finished.Result, &result))
	require.Equal(t, failure.Refused, result.Failure.Code)
	require.Contains(t, result.Failure.Message, "/s/op-1")
	require.Contains(t, result.Failure.Next, "--from-snapshot an older one", "a person may")
}

// sp is the address of a savepoint as Flink names it.
func sp(epoch int64, name string) string {
	return "hdfs://nn/sluice/jobs/U/savepoints/" + name + "-stop-1/" + job.MadeBy(job.FlinkJobID("U", epoch)) + "0a1b2c3d4e5f"
}

func chk(epoch, id int64) string {
	return fmt.Sprintf("hdfs://nn/sluice/jobs/U/checkpoints/%s/chk-%d", job.FlinkJobID("U", epoch), id)
}

// branched is a job that was stopped as submission 7. Submission 4 began without
// state, 5 went on from its savepoint, 6 from 5's third, was rolled back to that,
// and 7 went on from there.
func branched() upgrade.Facts {
	f := stoppedFacts(job.Request{Kind: job.Start}, lease.Canceled)
	state := &f.Lease.State
	state.Epoch = 7
	state.Intent.Epoch, state.Intent.FlinkJobID, state.Intent.RestorePath = 7, job.FlinkJobID("U", 7), sp(5, "third")
	state.Origins = []lease.Origin{{Epoch: 4}, {Epoch: 5, RestorePath: sp(4, "first")}, {Epoch: 6, RestorePath: sp(5, "third")}}
	f.Snapshots = []job.Snapshot{
		{Epoch: 8, CheckpointID: 99, Path: "a copy", Kind: job.Foreign},
		{Epoch: 6, CheckpointID: 8, Path: sp(6, "left behind")},
		{Epoch: 5, CheckpointID: 7, Path: sp(5, "third")},
		{Epoch: 5, CheckpointID: 4, Path: sp(5, "second")},
		{Epoch: 4, CheckpointID: 3, Path: sp(4, "first")},
		{Epoch: 3, CheckpointID: 77, Path: sp(3, "before the start without state")},
	}
	return f
}

func paths(line []job.Snapshot) (all []string) {
	for _, s := range line {
		all = append(all, s.Path)
	}
	return all
}

func TestTheLineageGoesBackToTheStartWithoutState(t *testing.T) {
	back := []string{sp(5, "third"), sp(5, "second"), sp(4, "first")}
	require.Equal(t, back, paths(upgrade.Lineage(branched())))

	f := branched()
	f.Snapshots = append(f.Snapshots, job.Snapshot{Epoch: 5, CheckpointID: 9, Path: sp(5, "after the fork")})
	require.Equal(t, back, paths(upgrade.Lineage(f)), "what 5 made after 7 left it is another branch")

	f = branched()
	f.Checkpoint = activities.FindSnapshotOut{Path: chk(7, 9), CheckpointID: 9}
	require.Equal(t, append([]string{chk(7, 9)}, back...), paths(upgrade.Lineage(f)))

	f = branched()
	f.Lease.State.Intent.RestorePath = chk(5, 6)
	require.Equal(t, []string{chk(5, 6), sp(5, "second"), sp(4, "first")}, paths(upgrade.Lineage(f)), "a checkpoint is in no ledger")

	f = branched()
	f.Lease.State.Origins = nil // of an earlier release
	require.Equal(t, back[:2], paths(upgrade.Lineage(f)), "as far as the Lease remembers")

	f = branched()
	f.Lease.State.Intent.RestorePath = ""
	require.Empty(t, upgrade.Lineage(f), "nobody looks behind a start without state")
	_, err := upgrade.Restore(f)
	require.Equal(t, failure.Refused, failure.CodeOf(err))
}

// The record store is of yesterday: HDFS has what was made since.
func TestSavepointsAreFoundOnHDFS(t *testing.T) {
	f := branched()
	f.Snapshots = nil
	f.Lease.State.Intent.Outcome = lease.Finished
	found := func(epoch, id int64, name string) activities.FoundSnapshot {
		return activities.FoundSnapshot{Path: sp(epoch, name), CheckpointID: id}
	}
	f.Checkpoint.Savepoints = []activities.FoundSnapshot{
		found(7, 12, "the stop's"), found(7, 10, "earlier"), found(6, 20, "left behind"), found(5, 7, "third"), found(5, 9, "after the fork"), found(4, 3, "first"),
		{Path: "hdfs://nn/sluice/jobs/U/savepoints/by-hand-1/savepoint-000000-x", CheckpointID: 90}, {Path: "short", CheckpointID: 91},
	}
	require.Equal(t, []string{sp(7, "the stop's"), sp(7, "earlier"), sp(5, "third"), sp(4, "first")}, paths(upgrade.Lineage(f)))
	path, err := upgrade.Restore(f)
	require.NoError(t, err)
	require.Equal(t, sp(7, "the stop's"), path)
}

func TestAStartLooksForTheSavepointsOfItsLineage(t *testing.T) {
	w := starting(t)
	w.state.Origins = []lease.Origin{{Epoch: 3}, {Epoch: 4, RestorePath: sp(3, "x")}}
	var asked []activities.FindSnapshotIn
	w.env.OnActivity(activities.FindSnapshot.Name, anything, anything).Return(func(_ context.Context, in activities.FindSnapshotIn) (activities.FindSnapshotOut, error) {
		asked = append(asked, in)
		return activities.FindSnapshotOut{Savepoints: []activities.FoundSnapshot{{Path: sp(5, "since yesterday"), CheckpointID: 8}}}, nil
	})
	w.run()
	require.Equal(t, job.Committed, w.finished.Phase)
	require.Equal(t, job.SavepointsDirectory("U"), asked[0].Savepoints)
	require.Equal(t, []string{w.facts.Lease.State.Intent.FlinkJobID, job.FlinkJobID("U", 4), job.FlinkJobID("U", 3)}, asked[0].MadeBy)
	require.Equal(t, sp(5, "since yesterday"), w.submit(0).RestorePath)
}

// An older snapshot of the job's own, where it is: what is left behind is stated.
func TestAStartGoesOnFromAChosenSnapshotOfItsOwn(t *testing.T) {
	for name, asked := range map[string]string{
		"its address": sp(5, "second"), "a path": strings.TrimPrefix(sp(5, "second"), "hdfs://nn"), "its directory": sp(5, "second") + "/", "its _metadata": sp(5, "second") + "/_metadata",
	} {
		t.Run(name, func(t *testing.T) {
			w := choosing(t, asked)
			w.run()
			require.Equal(t, job.Committed, w.finished.Phase)
			require.Equal(t, -1, w.index(activities.InspectForeign.Name))
			require.Equal(t, -1, w.index(activities.CopyForeign.Name))
			require.Less(t, w.index(activities.VerifySnapshot.Name), w.index(activities.ReserveGeneration.Name))
			require.Equal(t, sp(5, "second"), w.submit(0).RestorePath)
			plan := w.progress(t).Plan
			require.Equal(t, &upgrade.Replay{From: sp(5, "second"), To: sp(5, "third"), Epoch: 5, CheckpointID: 7}, plan.Replay)
			require.Contains(t, plan.Restore, "up to "+sp(5, "third")+" and behind that, is published again")
			require.NotContains(t, plan.Steps, "copy the snapshot")
		})
	}
}

func choosing(t *testing.T, location string) *world {
	t.Helper()
	w := newWorld(t, job.Request{Kind: job.Start, FromSnapshot: location})
	w.facts = branched()
	w.facts.Request = job.Request{Kind: job.Start, FromSnapshot: location}
	w.facts.Target.Identity.FS = "hdfs://nn"
	w.state = w.facts.Lease.State
	return w
}

func TestWhatIsOfTheJobsOwnMayBeChosen(t *testing.T) {
	for name, c := range map[string]struct {
		location, from string
		replay         bool
	}{
		"a branch that a rollback left": {sp(6, "left behind"), sp(6, "left behind"), true},
		"a checkpoint":                  {chk(5, 6), chk(5, 6), true},
		"the newest":                    {sp(5, "third"), sp(5, "third"), false},
	} {
		f := choosing(t, c.location).facts
		plan, err := upgrade.Decide(f)
		require.NoError(t, err, name)
		require.Equal(t, c.from, plan.RestorePath, name)
		require.Equal(t, c.replay, plan.Replay != nil, name)
	}
	f := choosing(t, sp(5, "second")).facts
	f.Lease.State.Ended = &lease.Ended{Epoch: 7, State: "FINISHED"}
	_, err := upgrade.Decide(f)
	require.NoError(t, err, "a person may run it again from there")
}

// Whatever else it is, it goes through the door for what isn't the job's.
func TestAnothersSnapshotIsNeverTakenForTheJobsOwn(t *testing.T) {
	for _, location := range []string{
		"hdfs://nn/sluice/jobs/V/savepoints/x-stop-1/savepoint-1", "hdfs://nn/sluice/jobs/UV/savepoints/x", "hdfs://other/sluice/jobs/U/savepoints/x",
		"hdfs://nn/sluice/jobs/U/primer/g1/savepoint", "hdfs://nn/sluice/jobs/U/savepoints", "hdfs://nn0/sluice/jobs/U/savepoints/x", "/handed-over/sluice/jobs/U/savepoints/x",
	} {
		w := choosing(t, location)
		on(w, activities.InspectForeign, func(activities.ForeignIn) (activities.ForeignOut, error) {
			return activities.ForeignOut{}, ontemporal.Error(failure.New(failure.Refused, "may not be taken over"))
		})
		w.run()
		require.Equal(t, job.Failed, w.finished.Phase, location)
		require.NotEqual(t, -1, w.index(activities.InspectForeign.Name), location)
		require.Empty(t, w.submits, location)
	}
}
