// Package kubelet tells what a kubelet saw from what somebody made up: only an
// end that the container's runtime reported is one.
package kubelet

import (
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
)

// lost is the reason that a kubelet invents when its runtime no longer knows a
// container. It saw no end: it is not a proof of one.
const lost = "ContainerStatusUnknown"

// SawEnd tells an end that the runtime reported from one that was made up.
func SawEnd(t *core.ContainerStateTerminated) bool {
	return t != nil && t.Reason != lost && t.ContainerID != "" && !t.FinishedAt.IsZero()
}

// NeverRan says that the pod never had a container of this status.
func NeverRan(status core.ContainerStatus) bool {
	return status.State.Running == nil && status.ContainerID == "" && status.RestartCount == 0 && status.LastTerminationState.Terminated == nil
}

// AnnotationDeclared lists the containers of a pod that a person said have ended:
// their ids, with commas in between. Who may write it may take the pod's finalizer
// too, and it never speaks of a container that is started later.
const AnnotationDeclared = "sluice.io/declared-ended"

// Declared says whether a person said that the container has ended.
func Declared(pod *core.Pod, containerID string) bool {
	return containerID != "" && slices.Contains(strings.Split(pod.Annotations[AnnotationDeclared], ","), containerID)
}

// Unheard are the containers of the pod whose end nobody saw: they run, or their
// kubelet is silent or has lost them.
func Unheard(pod *core.Pod) []core.ContainerStatus {
	var all []core.ContainerStatus
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		last := status.State.Terminated
		if status.State.Waiting != nil { // for its next start
			last = status.LastTerminationState.Terminated
		}
		if status.ContainerID != "" && !SawEnd(last) {
			all = append(all, status)
		}
	}
	return all
}
