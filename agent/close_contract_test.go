//go:build contract

package agent

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/job"
	"sluice/internal/lease"
)

func (w *world) closeCommand(step string) agentapi.Command {
	c := w.command(agentapi.Close, step)
	c.Close = &agentapi.CloseIn{Epoch: w.state().Intent.Epoch, FlinkJobID: w.state().Intent.FlinkJobID}
	return c
}

// A submission whose POST never arrived, as far as anybody knows: its id is
// taken by the primer, so that it can never come, and nobody may repeat it.
func TestCloseASubmissionThatNeverArrived(t *testing.T) {
	w := newWorld(t)
	w.hold()
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{
			Epoch: 1, Generation: 1, Operation: w.operation, FlinkJobID: job.FlinkJobID(w.uid, 1),
			JobManagerPodUID: w.jobManagerUID(), JobManagerContainerID: "containerd://first",
		})
	})
	closing := w.closeCommand("close")
	require.Equal(t, string(lease.Closed), must[agentapi.CloseOut](w, closing).Outcome)
	require.Equal(t, lease.Closed, w.state().Intent.Outcome)
	found, err := w.flink.Job(t.Context(), job.FlinkJobID(w.uid, 1))
	require.NoError(t, err)
	require.Equal(t, closedName, found.Name)
	require.Equal(t, flink.Finished, found.State)

	late := w.command(agentapi.Submit, "late")
	late.Submit = &agentapi.SubmitIn{Epoch: 1, FlinkJobID: job.FlinkJobID(w.uid, 1), Spec: w.spec(), Parallelism: 2, Tenant: "shop"}
	_, err = run[agentapi.SubmitOut](w, late)
	require.Equal(t, failure.Refused, code(err), "a late repeat of the POST")
}

// The answers to POST and close are lost, and the job had arrived: it is found,
// and canceled with its checkpoints kept.
func TestCloseASubmissionThatRuns(t *testing.T) {
	w := newWorld(t)
	lossy := newLossy(t, w.config.Assignment.JobManagerURL)
	w.config.Assignment.JobManagerURL = lossy.url
	w.start()
	w.hold()
	must[agentapi.SubmitOut](w, w.submitCommand("", w.spec()))
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	w.swap(func(s lease.State) (lease.State, error) {
		s.Intent.Outcome = lease.Open
		return s, nil
	})
	lossy.lose(http.MethodGet, "/jobs/", 2)
	require.Equal(t, string(lease.Accepted), must[agentapi.CloseOut](w, w.closeCommand("close")).Outcome)

	lossy.lose(http.MethodPatch, "/jobs/", 2)
	cancel := w.command(agentapi.Cancel, "cancel")
	cancel.Cancel = &agentapi.CancelIn{FlinkJobID: w.state().Intent.FlinkJobID}
	require.Equal(t, flink.Canceled, must[agentapi.CancelOut](w, cancel).JobState)
	require.Equal(t, lease.Canceled, w.state().Intent.Outcome)

	w.start() // another agent process, asked again
	cancel.ID += "-again"
	require.Equal(t, flink.Canceled, must[agentapi.CancelOut](w, cancel).JobState)
}

// A JobManager that isn't the one which got the POST can't close it: it knows
// nothing of it.
func TestCloseAtAnotherJobManager(t *testing.T) {
	w := newWorld(t)
	w.hold()
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{
			Epoch: 1, Generation: 1, Operation: w.operation, FlinkJobID: job.FlinkJobID(w.uid, 1),
			JobManagerPodUID: w.jobManagerUID(), JobManagerContainerID: "containerd://another",
		})
	})
	_, err := run[agentapi.CloseOut](w, w.closeCommand("close"))
	require.Equal(t, failure.Unproven, code(err))
	require.Equal(t, lease.Open, w.state().Intent.Outcome)
}
