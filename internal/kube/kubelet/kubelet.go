// Package kubelet tells what a kubelet saw from what somebody made up: only an
// end that the container's runtime reported is one.
package kubelet

import core "k8s.io/api/core/v1"

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
