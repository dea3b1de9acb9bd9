package upgrade_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
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
}
