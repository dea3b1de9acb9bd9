package scenario

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"sluice/internal/job"
	"sluice/internal/manifest"
)

// roomyMiB is how much memory a node must have free for a story that fills half of
// it, so that another one finds its place beside.
const roomyMiB = 16 << 10

// large is held by the one story that has a large profile.
var large sync.Mutex

// Roomy says whether a story with a large profile may be told beside another.
func Roomy(t *testing.T) bool {
	t.Helper()
	return freeMiB(t, cluster(t)) >= roomyMiB
}

// HalfNode makes the profile "half-node": its TaskManager asks for more than half of the
// memory that is free on the only node, so that there is room for one and not for
// two. A heap that is never filled takes nothing from anybody.
func (w *World) HalfNode() job.Profile {
	w.T.Helper()
	free := w.large()
	half := Small
	half.Name = "half-node"
	half.TaskManager.MemoryMiB = free * 52 / 100
	w.Profile(half)
	w.Say("profile half-node: TaskManagers ask for %d of %d MiB", half.TaskManager.MemoryMiB, free)
	return half
}

// ThirdNode makes the profile "third-node": JobManager and TaskManager ask for more than a
// third each, so that beside them there is room for no other JobManager, and in the
// place of either for one.
func (w *World) ThirdNode() job.Profile {
	w.T.Helper()
	free := w.large()
	third := Small
	third.Name = "third-node"
	third.JobManager.MemoryMiB = free * 35 / 100
	third.TaskManager.MemoryMiB = third.JobManager.MemoryMiB
	w.Profile(third)
	w.Say("profile third-node: JobManager and TaskManager ask for %d of %d MiB each", third.JobManager.MemoryMiB, free)
	return third
}

// large waits for the node's large place, keeps it until the story's end and gives
// the MiB that are free without jobs.
func (w *World) large() int {
	w.T.Helper()
	large.Lock()
	w.T.Cleanup(large.Unlock)
	w.Until("the large pods of an earlier story are gone", 2*time.Minute, func() bool {
		pods, err := w.Kube.CoreV1().Pods("").List(context.Background(), meta.ListOptions{LabelSelector: manifest.LabelJob})
		if err != nil {
			return false
		}
		for _, pod := range pods.Items {
			if requestedMiB(pod) > roomyMiB/8 {
				return false
			}
		}
		return true
	})
	return freeMiB(w.T, w.Kube)
}

// freeMiB is the memory of the only node that nothing but jobs asks for.
func freeMiB(t *testing.T, kube kubernetes.Interface) int {
	t.Helper()
	nodes, err := kube.CoreV1().Nodes().List(context.Background(), meta.ListOptions{})
	require.NoError(t, err)
	require.Len(t, nodes.Items, 1)
	free := int(nodes.Items[0].Status.Allocatable.Memory().Value() >> 20)
	pods, err := kube.CoreV1().Pods("").List(context.Background(), meta.ListOptions{LabelSelector: "!" + manifest.LabelJob})
	require.NoError(t, err)
	for _, pod := range pods.Items {
		if pod.Status.Phase != core.PodSucceeded && pod.Status.Phase != core.PodFailed {
			free -= requestedMiB(pod)
		}
	}
	return free
}

func requestedMiB(pod core.Pod) (sum int) {
	for _, container := range pod.Spec.Containers {
		sum += int(container.Resources.Requests.Memory().Value() >> 20)
	}
	return sum
}
