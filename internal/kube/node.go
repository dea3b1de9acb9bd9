package kube

import (
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
)

// Off says whether a Node object proves that the machine which a pod was given to
// is off, and if so, by what; else why that is not proven. Whoever taints a node
// `node.kubernetes.io/out-of-service` says that it is off: Kubernetes itself
// deletes the node's pods and gives its volumes away on that word, where the node
// isn't Ready.
//
// Not proven: a node that is only silent; one whose kubelet still answers, taint or
// not; a Node object that is younger than the pod's binding, for it is another one
// under the same name, and says nothing about the machine that the pod ran on.
func Off(pod *core.Pod, node *core.Node) (by, why string) {
	switch {
	case !slices.ContainsFunc(node.Spec.Taints, func(t core.Taint) bool { return t.Key == core.TaintNodeOutOfService }):
		return "", "node " + node.Name + " is not tainted " + core.TaintNodeOutOfService
	case Answers(node):
		return "", "node " + node.Name + " is tainted " + core.TaintNodeOutOfService + ", but its kubelet answers"
	case !boundTo(pod, node):
		return "", "node " + node.Name + " was made anew after the pod had been given to one of that name"
	}
	return fmt.Sprintf("node %s (uid %s) is out of service", node.Name, node.UID), ""
}

// Answers says whether the node's kubelet does.
func Answers(node *core.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c core.NodeCondition) bool {
		return c.Type == core.NodeReady && c.Status == core.ConditionTrue
	})
}

// boundTo compares two times of the API server's: a pod names its node only. The
// binding sets PodScheduled; a node of the same second is not known to be older.
func boundTo(pod *core.Pod, node *core.Node) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodScheduled && condition.Status == core.ConditionTrue {
			return pod.Spec.NodeName == node.Name && node.CreationTimestamp.Time.Before(condition.LastTransitionTime.Time)
		}
	}
	return false
}
