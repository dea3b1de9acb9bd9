//go:build contract

package kubetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LostNode makes a Node object that no kubelet ever speaks for. Nothing fits on it,
// so the scheduler gives it no pod.
func (s *Site) LostNode(t *testing.T) *core.Node {
	t.Helper()
	node, err := s.Admin.CoreV1().Nodes().Create(t.Context(), &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: s.Namespace + "-lost"}, Spec: core.NodeSpec{Unschedulable: true},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = s.Admin.CoreV1().Nodes().Delete(context.Background(), node.Name, meta.DeleteOptions{})
	})
	Eventually(t, 5*time.Second, func() bool { return time.Since(node.CreationTimestamp.Time) > 2*time.Second }, "what is bound now is younger than the node")
	return node
}

// Bound makes a pod of that node in which a container is said to run.
func (s *Site) Bound(t *testing.T, node *core.Node, pod *core.Pod, containerID string) *core.Pod {
	t.Helper()
	pods := s.Admin.CoreV1().Pods(s.Namespace)
	pod.Spec.SchedulerName, pod.Spec.NodeName = "nobody", ""
	made, err := pods.Create(t.Context(), pod, meta.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, pods.Bind(t.Context(), &core.Binding{
		ObjectMeta: meta.ObjectMeta{Name: made.Name, Namespace: s.Namespace}, Target: core.ObjectReference{Kind: "Node", Name: node.Name},
	}, meta.CreateOptions{}))
	made, err = pods.Get(t.Context(), made.Name, meta.GetOptions{})
	require.NoError(t, err)
	made.Status.Phase = core.PodRunning
	made.Status.ContainerStatuses = []core.ContainerStatus{{
		Name: made.Spec.Containers[0].Name, ContainerID: containerID, State: core.ContainerState{Running: &core.ContainerStateRunning{}},
	}}
	made, err = pods.UpdateStatus(t.Context(), made, meta.UpdateOptions{})
	require.NoError(t, err)
	return made
}

// OutOfService taints a node as a person does whose machine is off.
func (s *Site) OutOfService(t *testing.T, name string) {
	t.Helper()
	Eventually(t, 10*time.Second, func() bool {
		node, err := s.Admin.CoreV1().Nodes().Get(t.Context(), name, meta.GetOptions{})
		if err != nil {
			return false
		}
		node.Spec.Taints = append(node.Spec.Taints, core.Taint{Key: core.TaintNodeOutOfService, Value: "nodeshutdown", Effect: core.TaintEffectNoExecute})
		_, err = s.Admin.CoreV1().Nodes().Update(t.Context(), node, meta.UpdateOptions{})
		return err == nil
	}, "the taint")
}
