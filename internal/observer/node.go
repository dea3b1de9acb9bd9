package observer

import (
	"context"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/kube"
	"sluice/internal/kube/answer"
	"sluice/internal/kube/kubelet"
	"sluice/internal/store"
)

// lookAgain is the time between two looks at the node of a pod that should be gone.
// No event of the pod's tells that the node is out of service by now; all nodes
// aren't watched for the few that ever are.
const lookAgain = 30 * time.Second

// overdue says whether the kubelet had its time to end the pod: only then somebody
// looks at the node.
func overdue(pod *core.Pod) bool {
	return pod.DeletionTimestamp != nil && pod.Spec.NodeName != "" && !time.Now().Before(pod.DeletionTimestamp.Time)
}

// overByNode says whether a pod that is overdue is over because its node is proven
// off, and records the ends of its containers then. A kubelet that comes back later
// starts nothing in a pod that is being deleted.
func (o *Observer) overByNode(ctx context.Context, pod *core.Pod) (bool, string, error) {
	by, why, err := o.off(ctx, pod)
	if err != nil || by == "" {
		return false, why, err
	}
	for _, status := range kubelet.Unheard(pod) {
		seen := end(pod, status, core.ContainerStateTerminated{
			ContainerID: status.ContainerID, ExitCode: store.UnknownExit, Reason: "NodeOutOfService", FinishedAt: meta.Now(),
		})
		seen.Source = by
		if err := o.once(ctx, seen); err != nil {
			return false, "", err
		}
		o.config.Log.WarnContext(ctx, "container ended with its node", "pod", cache.MetaObjectToName(pod).String(), "role", seen.Role,
			"generation", seen.Generation, "container", seen.ContainerID, "by", by)
	}
	return true, "", nil
}

// off asks for the pod's node. That there is none proves nothing: the object may be
// deleted while the machine runs.
func (o *Observer) off(ctx context.Context, pod *core.Pod) (by, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node, err := o.config.Cluster.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, meta.GetOptions{})
	if answer.Absent(err) {
		return "", "there is no node " + pod.Spec.NodeName + " any more; that doesn't say that the machine is off", nil
	}
	if err != nil {
		return "", "", kube.Translate(err, "Node "+pod.Spec.NodeName)
	}
	by, why = kube.Off(pod, node)
	return by, why, nil
}
