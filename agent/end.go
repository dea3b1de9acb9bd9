package agent

import (
	"context"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/kube/kubelet"
	"sluice/internal/lease"
)

// recordJobEnd writes a terminal state onto the Lease, if the job is the Lease's
// submission; savepoint is what a stop left. What comes after may rely on it,
// also when this JobManager has forgotten the job.
func (a *Agent) recordJobEnd(ctx context.Context, flinkJobID, state, savepoint string) error {
	// Flink says FAILED and CANCELED also of a job whose TaskManager it has lost,
	// and there a task may still write. FINISHED is every task's own word.
	if state != flink.Finished {
		if err := a.awaitIdle(ctx, state); err != nil {
			return err
		}
	}
	_, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) {
		if s.Intent == nil || s.Intent.FlinkJobID != flinkJobID {
			return s, nil
		}
		return s.Record(s.Intent.Epoch, lease.Outcome(state), savepoint)
	})
	return err
}

// awaitIdle waits until no task can run in the generation any more.
func (a *Agent) awaitIdle(ctx context.Context, jobState string) error {
	limit := time.Now().Add(patience)
	for p := newPace(50*time.Millisecond, time.Second); ; {
		busy, err := a.busyWorkers(ctx)
		if err == nil && len(busy) == 0 {
			return nil
		}
		if time.Now().After(limit) {
			if err != nil {
				return err
			}
			return failure.New(failure.Unproven, "Flink says %s, but a task may still run in %s", jobState, strings.Join(busy, ", ")).
				WithNext("their containers must end, or register with all slots free; look at the pods and their nodes, then retry")
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// busyWorkers names the TaskManager pods of the generation in which a task may
// run: those whose container the kubelet hasn't called ended, unless they are
// registered at the JobManager with all slots free. A pod that is gone ended: its
// finalizer stays until its end is recorded.
func (a *Agent) busyWorkers(ctx context.Context) ([]string, error) {
	pods, err := a.pods(ctx, "taskmanager")
	if err != nil {
		return nil, err
	}
	registered, err := a.flink.TaskManagers(ctx)
	if err != nil {
		return nil, err
	}
	free := map[string]bool{} // by resource id, which is the pod's name
	for _, w := range registered {
		free[w.ID] = w.SlotsFree == w.SlotsTotal
	}
	var busy []string
	for i := range pods {
		if !free[pods[i].Name] && !containersEnded(&pods[i]) {
			busy = append(busy, pods[i].Name)
		}
	}
	return busy, nil
}

// containersEnded says whether no container of the pod runs, by the kubelet's
// word, or that of a person who declared it ended. No word about a container is no
// end.
func containersEnded(pod *core.Pod) bool {
	if len(pod.Status.ContainerStatuses) == 0 {
		return pod.Spec.NodeName == ""
	}
	for _, status := range pod.Status.ContainerStatuses {
		last := status.State.Terminated
		if status.State.Waiting != nil { // for its next start
			last = status.LastTerminationState.Terminated
		}
		if !kubelet.SawEnd(last) && !kubelet.NeverRan(status) && !kubelet.Declared(pod, status.ContainerID) {
			return false
		}
	}
	return true
}
