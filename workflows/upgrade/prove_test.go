package upgrade_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/workflows/upgrade"
)

// The end of the JobManager that took the POST may have been missed: the lookup
// is told which container of its pod it was, so that a later one proves it.
func TestTheProofOfALaterContainerIsAskedForToo(t *testing.T) {
	w := starting(t)
	w.awaits = []answer[agentapi.AwaitOut]{{err: failure.New(failure.Unproven, "the JobManager is gone")}}
	var asked activities.ContainerEndsIn
	w.env.OnActivity(activities.ContainerEnds.Name, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ContainerEndsIn) (activities.ContainerEndsOut, error) {
			asked = in
			return activities.ContainerEndsOut{Ends: []activities.ContainerEnd{{ContainerID: "later"}}}, nil
		})
	w.env.RegisterDelayedCallback(func() {
		intent := w.state.Intent
		intent.JobManagerPodUID, intent.JobManagerContainerID, intent.JobManagerAttempt = "p", "c", 2
		w.facts.Agent = &agentapi.State{JobManager: "up", FlinkJobID: intent.FlinkJobID, Idle: true}
		var accepted bool
		w.update(upgrade.UpdateRetry, &accepted)
	}, time.Hour)
	w.run()
	t.Logf("%v %+v", w.env.GetWorkflowError(), w.calls)
	require.Equal(t, []string{"c"}, asked.ContainerIDs)
	require.Equal(t, &activities.Attempt{PodUID: "p", Container: "jobmanager", Number: 2}, asked.After)
	require.EqualValues(t, 7, w.submits[len(w.submits)-1].Command.Submit.Epoch)
}
