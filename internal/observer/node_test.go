package observer

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"sluice/internal/kube"
	"sluice/internal/kube/kubelet"
	"sluice/internal/store"
)

// written keeps what was recorded.
type written []store.ContainerEnd

func (w *written) RecordContainerEnd(_ context.Context, end store.ContainerEnd) error {
	*w = append(*w, end)
	return nil
}

// lost is a pod that is deleted and of whose container no kubelet speaks.
func lost(change func(*core.Pod)) *core.Pod {
	return sample(func(p *core.Pod) {
		p.Status.Phase = core.PodRunning
		p.Status.Conditions = []core.PodCondition{{Type: core.PodScheduled, Status: core.ConditionTrue, LastTransitionTime: at}}
		*status(p) = core.ContainerStatus{Name: "jobmanager", ContainerID: "containerd://a", RestartCount: 1, State: core.ContainerState{Running: &core.ContainerStateRunning{}}}
		change(p)
	})
}

func outOfService(change func(*core.Node)) *core.Node {
	node := &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: "node1", UID: "node-uid", CreationTimestamp: meta.NewTime(at.Add(-time.Hour))},
		Spec:       core.NodeSpec{Taints: []core.Taint{{Key: core.TaintNodeOutOfService, Effect: core.TaintEffectNoExecute}}},
		Status:     core.NodeStatus{Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionUnknown}}},
	}
	change(node)
	return node
}

// settled lets an observer look at a pod once, and says what it recorded and
// whether it took the finalizer.
func settled(t *testing.T, pod *core.Pod, node *core.Node) (written, bool) {
	t.Helper()
	cluster := fake.NewClientset(pod.DeepCopy())
	if node != nil {
		_, err := cluster.CoreV1().Nodes().Create(t.Context(), node, meta.CreateOptions{})
		require.NoError(t, err)
	}
	var record written
	o := New(Config{Cluster: &kube.Cluster{Interface: cluster}, Record: &record, Incidents: &flows{}, Log: slog.New(slog.DiscardHandler)})
	o.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]())
	t.Cleanup(o.queue.ShutDown)
	o.pending, o.known = map[cache.ObjectName][]Seen{}, map[cache.ObjectName]map[string]bool{}
	o.stores = map[string]cache.Indexer{"shop": cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})}
	require.NoError(t, o.stores["shop"].Add(pod))
	require.NoError(t, o.settle(t.Context(), cache.MetaObjectToName(pod)))
	now, err := cluster.CoreV1().Pods("shop").Get(t.Context(), pod.Name, meta.GetOptions{})
	require.NoError(t, err)
	return record, len(now.Finalizers) == 0
}

// A node that is proven off ends what ran on it; a node that is only away, or of
// which there is no object any more, ends nothing.
func TestWhatRanOnANodeThatIsOffHasEnded(t *testing.T) {
	same, asIs := func(*core.Node) {}, func(*core.Pod) {}
	for name, c := range map[string]struct {
		pod  *core.Pod
		node *core.Node
		over bool
	}{
		"out of service":       {lost(asIs), outOfService(same), true},
		"only away":            {lost(asIs), outOfService(func(n *core.Node) { n.Spec.Taints = nil }), false},
		"made anew":            {lost(asIs), outOfService(func(n *core.Node) { n.CreationTimestamp = meta.NewTime(at.Add(time.Hour)) }), false},
		"no such node":         {lost(asIs), nil, false},
		"nobody deletes it":    {lost(func(p *core.Pod) { p.DeletionTimestamp = nil }), outOfService(same), false},
		"its kubelet has time": {lost(func(p *core.Pod) { later := meta.NewTime(time.Now().Add(time.Hour)); p.DeletionTimestamp = &later }), outOfService(same), false},
		"collected for it": {lost(func(p *core.Pod) {
			p.Status.Phase = core.PodFailed
			p.Status.Conditions = append(p.Status.Conditions, core.PodCondition{Type: core.DisruptionTarget, Reason: deletedByCollector})
		}), outOfService(same), true},
	} {
		t.Run(name, func(t *testing.T) {
			record, released := settled(t, c.pod, c.node)
			require.Equal(t, c.over, released)
			if !c.over {
				require.Empty(t, record)
				return
			}
			require.Len(t, record, 1)
			require.Equal(t, "containerd://a", record[0].ContainerID)
			require.Equal(t, 2, record[0].Attempt)
			require.EqualValues(t, store.UnknownExit, record[0].ExitCode)
			require.Equal(t, "node node1 (uid node-uid) is out of service", record[0].Source)
		})
	}
}

// A person's word on a container holds for that container only, and lets the pod go
// when it is deleted.
func TestAPodWhoseContainersAPersonDeclaredEnded(t *testing.T) {
	say := func(ids string) func(*core.Pod) {
		return func(p *core.Pod) { p.Annotations[kubelet.AnnotationDeclared] = ids }
	}
	over, _ := Over(lost(say("containerd://x,containerd://a")))
	require.True(t, over)
	over, _ = Over(lost(say("containerd://other")))
	require.False(t, over, "another container runs")
	over, _ = Over(lost(func(p *core.Pod) { say("containerd://a")(p); p.DeletionTimestamp = nil }))
	require.False(t, over, "its kubelet may come back and start one")
	_, released := settled(t, lost(say("containerd://a")), nil)
	require.True(t, released)
	_, released = settled(t, lost(say("")), nil)
	require.False(t, released, "nobody said so")
}
