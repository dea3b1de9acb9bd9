package observer

import (
	"slices"
	"strconv"
	"time"

	core "k8s.io/api/core/v1"

	"sluice/internal/job"
	"sluice/internal/kube/kubelet"
	"sluice/internal/manifest"
	"sluice/internal/store"
)

// deletedByCollector is the reason that the control plane's pod collector
// leaves when it sets a pod's phase to Failed without having heard of the kubelet.
const deletedByCollector = "DeletionByPodGC"

// Seen is a container's end, with what only its pod tells.
type Seen struct {
	store.ContainerEnd
	Job    job.Ref
	Reason string // the kubelet's: Error, OOMKilled, …
}

// Ends lists the ends of the pod's containers that a kubelet has seen: of the
// present ones, and of those that ran before a restart in the pod.
func Ends(pod *core.Pod) []Seen {
	var ends []Seen
	for _, status := range statuses(pod) {
		for _, state := range []core.ContainerState{status.LastTerminationState, status.State} {
			if kubelet.SawEnd(state.Terminated) {
				ends = append(ends, end(pod, status, *state.Terminated))
			}
		}
	}
	return ends
}

// attempt counts the containers of one name in a pod from 1. The restart count
// is that of the status' container, which waits there after its own end too.
func attempt(status core.ContainerStatus, t core.ContainerStateTerminated) int {
	if t.ContainerID == status.ContainerID {
		return int(status.RestartCount) + 1
	}
	return int(status.RestartCount)
}

func end(pod *core.Pod, status core.ContainerStatus, t core.ContainerStateTerminated) Seen {
	generation, err := strconv.Atoi(pod.Labels[manifest.LabelGeneration])
	if err != nil {
		generation = 0 // the label was changed: the container's id is what counts
	}
	return Seen{Job: job.Ref{Tenant: pod.Labels[manifest.LabelTenant], Name: pod.Labels[manifest.LabelJob]}, Reason: t.Reason, ContainerEnd: store.ContainerEnd{
		ContainerID: t.ContainerID,
		PodUID:      string(pod.UID),
		Pod:         pod.Name,
		Namespace:   pod.Namespace,
		Container:   status.Name,
		Attempt:     attempt(status, t),
		JobUID:      pod.Annotations[manifest.AnnotationJobUID],
		Generation:  generation,
		Role:        pod.Labels[manifest.LabelComponent],
		ExitCode:    t.ExitCode,
		FinishedAt:  t.FinishedAt.UTC().Format(time.RFC3339),
	}}
}

// Over says whether nothing of the pod runs or will ever run, and if not, why
// that is not proven. Only then may the finalizer go.
//
// Proven are three cases:
//   - It was never given to a node and is being deleted: the API server refuses
//     to bind a pod with a deletion timestamp, so no kubelet ever gets it.
//   - The kubelet itself ended it: phase Succeeded or Failed *and* every container
//     terminated, by the runtime's word or without ever having had an id. With
//     restartPolicy Always a kubelet sets such a phase only after it has stopped
//     the pod for good; a terminated container alone may be started again.
//   - It is being deleted, and a person declared ended what no kubelet spoke of. A
//     kubelet that comes back starts nothing in such a pod.
//
// A node that is proven off is a matter of settle: it is not written in the pod.
//
// Not proven: a phase that the pod collector set for a node that is away; a
// container that had an id and that the kubelet lost; a pod whose node rejected
// it without saying what became of its containers.
func Over(pod *core.Pod) (bool, string) {
	if pod.Spec.NodeName == "" {
		if pod.DeletionTimestamp != nil {
			return true, ""
		}
		return false, "it waits for a node"
	}
	if declared(pod) {
		return true, ""
	}
	if pod.Status.Phase != core.PodSucceeded && pod.Status.Phase != core.PodFailed {
		return false, "its kubelet has not ended it"
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.DisruptionTarget && condition.Reason == deletedByCollector {
			return false, "its phase was set for a node that is away; the kubelet said nothing"
		}
	}
	all := statuses(pod)
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		i := slices.IndexFunc(all, func(s core.ContainerStatus) bool { return s.Name == container.Name })
		if i < 0 {
			return false, "the kubelet says nothing about container " + container.Name
		}
		if ok, why := ended(all[i]); !ok {
			return false, why
		}
	}
	return true, ""
}

func declared(pod *core.Pod) bool {
	unheard := kubelet.Unheard(pod)
	return pod.DeletionTimestamp != nil && len(unheard) > 0 &&
		!slices.ContainsFunc(unheard, func(s core.ContainerStatus) bool { return !kubelet.Declared(pod, s.ContainerID) })
}

func ended(status core.ContainerStatus) (bool, string) {
	switch {
	case status.State.Running != nil:
		return false, "container " + status.Name + " runs"
	case kubelet.SawEnd(status.State.Terminated):
		return true, ""
	case kubelet.NeverRan(status):
		// The kubelet ended the pod and never had a container of it: waiting, or
		// "could not be located" because there was none.
		return true, ""
	}
	return false, "the kubelet lost container " + status.Name + ": nobody saw its end"
}

func statuses(pod *core.Pod) []core.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}
