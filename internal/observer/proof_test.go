package observer

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/job"
	"sluice/internal/manifest"
	"sluice/internal/store"
)

var at = meta.NewTime(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))

func sample(change func(*core.Pod)) *core.Pod {
	p := &core.Pod{
		ObjectMeta: meta.ObjectMeta{
			Name: "orders-g7-jobmanager-1-2", Namespace: "shop", UID: "pod-uid", DeletionTimestamp: &at,
			Labels: map[string]string{
				manifest.LabelTenant: "shop", manifest.LabelJob: "orders", manifest.LabelGeneration: "7", manifest.LabelComponent: "jobmanager",
			},
			Annotations: map[string]string{manifest.AnnotationJobUID: "job-uid"},
			Finalizers:  []string{manifest.ProofFinalizer},
		},
		Spec: core.PodSpec{NodeName: "node1", Containers: []core.Container{{Name: "jobmanager"}}},
		Status: core.PodStatus{Phase: core.PodFailed, ContainerStatuses: []core.ContainerStatus{{
			Name: "jobmanager", ContainerID: "containerd://a", State: core.ContainerState{Terminated: terminated("containerd://a", 143)},
		}}},
	}
	change(p)
	return p
}

func terminated(id string, code int32) *core.ContainerStateTerminated {
	return &core.ContainerStateTerminated{ContainerID: id, ExitCode: code, FinishedAt: at, Reason: "Error"}
}

// unlocated is what a kubelet writes when its runtime doesn't know the container.
func unlocated() *core.ContainerStateTerminated {
	return &core.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137, Message: "The container could not be located when the pod was terminated"}
}

func TestOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*core.Pod)
		over   bool
		why    string
	}{
		"the kubelet ended it":             {func(*core.Pod) {}, true, ""},
		"it succeeded":                     {func(p *core.Pod) { p.Status.Phase = core.PodSucceeded }, true, ""},
		"ended without a deletion":         {func(p *core.Pod) { p.DeletionTimestamp = nil }, true, ""}, // evicted
		"terminated, but may come back":    {func(p *core.Pod) { p.Status.Phase = core.PodRunning }, false, "its kubelet has not ended it"},
		"terminated, phase unknown":        {func(p *core.Pod) { p.Status.Phase = core.PodUnknown }, false, "its kubelet has not ended it"},
		"still runs":                       {func(p *core.Pod) { status(p).State = core.ContainerState{Running: &core.ContainerStateRunning{}} }, false, "container jobmanager runs"},
		"failed by the pod collector":      {collected, false, "its phase was set for a node that is away; the kubelet said nothing"},
		"failed by the kubelet's eviction": {evicted, true, ""},
		"never placed, deleted":            {func(p *core.Pod) { p.Spec.NodeName = ""; p.Status = core.PodStatus{Phase: core.PodPending} }, true, ""},
		"never placed, by the collector":   {func(p *core.Pod) { collected(p); p.Spec.NodeName = "" }, true, ""},
		"not placed yet":                   {func(p *core.Pod) { p.Spec.NodeName, p.DeletionTimestamp = "", nil }, false, "it waits for a node"},
		"placed, nothing heard":            {func(p *core.Pod) { p.Status = core.PodStatus{Phase: core.PodPending} }, false, "its kubelet has not ended it"},
		"rejected without a word on containers": {func(p *core.Pod) { p.Status = core.PodStatus{Phase: core.PodFailed, Reason: "OutOfcpu"} }, false,
			"the kubelet says nothing about container jobmanager"},
		"never started": {func(p *core.Pod) { status(p).ContainerID, status(p).State.Terminated = "", unlocated() }, true, ""},
		"never started, still waiting": {func(p *core.Pod) {
			*status(p) = core.ContainerStatus{Name: "jobmanager", State: core.ContainerState{Waiting: &core.ContainerStateWaiting{}}}
		}, true, ""},
		"started and lost": {func(p *core.Pod) { status(p).State.Terminated = unlocated() }, false, "the kubelet lost container jobmanager: nobody saw its end"},
		"restarted, then lost without id": {func(p *core.Pod) {
			status(p).ContainerID, status(p).RestartCount, status(p).State.Terminated = "", 1, unlocated()
		}, false, "the kubelet lost container jobmanager: nobody saw its end"},
		"one of two containers":             {func(p *core.Pod) { p.Spec.Containers = append(p.Spec.Containers, core.Container{Name: "side"}) }, false, "the kubelet says nothing about container side"},
		"an init container never mentioned": {func(p *core.Pod) { p.Spec.InitContainers = []core.Container{{Name: "fetch"}} }, false, "the kubelet says nothing about container fetch"},
	} {
		t.Run(name, func(t *testing.T) {
			over, why := Over(sample(c.change))
			require.Equal(t, c.over, over)
			require.Equal(t, c.why, why)
		})
	}
}

func status(p *core.Pod) *core.ContainerStatus { return &p.Status.ContainerStatuses[0] }

func collected(p *core.Pod) {
	p.Status.Conditions = []core.PodCondition{{Type: core.DisruptionTarget, Status: core.ConditionTrue, Reason: "DeletionByPodGC"}}
}

func evicted(p *core.Pod) {
	p.Status.Conditions = []core.PodCondition{{Type: core.DisruptionTarget, Status: core.ConditionTrue, Reason: "TerminationByKubelet"}}
}

func attempts(ends []Seen) []string {
	var out []string
	for _, end := range ends {
		out = append(out, fmt.Sprintf("%s %s %d", end.ContainerID, end.Container, end.Attempt))
	}
	return out
}

func TestEnds(t *testing.T) {
	want := Seen{Job: job.Ref{Tenant: "shop", Name: "orders"}, Reason: "Error", ContainerEnd: store.ContainerEnd{
		ContainerID: "containerd://a", PodUID: "pod-uid", Pod: "orders-g7-jobmanager-1-2", Namespace: "shop", JobUID: "job-uid", Container: "jobmanager", Attempt: 1,
		Generation: 7, Role: "jobmanager", ExitCode: 143, FinishedAt: "2026-11-01T12:00:00Z",
	}}
	require.Equal(t, []Seen{want}, Ends(sample(func(*core.Pod) {})))

	// One that ended and was started again within the pod is proven too.
	restarted := sample(func(p *core.Pod) {
		p.DeletionTimestamp = nil
		*status(p) = core.ContainerStatus{
			Name: "jobmanager", ContainerID: "containerd://b", RestartCount: 1,
			State:                core.ContainerState{Running: &core.ContainerStateRunning{}},
			LastTerminationState: core.ContainerState{Terminated: terminated("containerd://a", 143)},
		}
	})
	require.Equal(t, []Seen{want}, Ends(restarted))

	// Two quick exits while nobody observed: the first end is shown no more, but
	// what came after it says so.
	missed := Ends(sample(func(p *core.Pod) {
		p.Spec.InitContainers = []core.Container{{Name: "fetch"}}
		p.Status.InitContainerStatuses = []core.ContainerStatus{{
			Name: "fetch", ContainerID: "containerd://f", RestartCount: 5, State: core.ContainerState{Terminated: terminated("containerd://f", 0)},
		}}
		*status(p) = core.ContainerStatus{
			Name: "jobmanager", ContainerID: "containerd://c", RestartCount: 2,
			State:                core.ContainerState{Running: &core.ContainerStateRunning{}},
			LastTerminationState: core.ContainerState{Terminated: terminated("containerd://b", 1)},
		}
	}))
	require.Equal(t, []string{"containerd://f fetch 6", "containerd://b jobmanager 2"}, attempts(missed))

	// One that waits to be started again is the status' container still.
	waits := Ends(sample(func(p *core.Pod) {
		*status(p) = core.ContainerStatus{
			Name: "jobmanager", ContainerID: "containerd://b", RestartCount: 1,
			State:                core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: core.ContainerState{Terminated: terminated("containerd://b", 1)},
		}
	}))
	require.Equal(t, []string{"containerd://b jobmanager 2"}, attempts(waits))

	// What nobody saw is not an end.
	require.Empty(t, Ends(sample(func(p *core.Pod) { status(p).State.Terminated = unlocated() })))
	require.Empty(t, Ends(sample(func(p *core.Pod) { status(p).State = core.ContainerState{Running: &core.ContainerStateRunning{}} })))
	require.Empty(t, Ends(sample(func(p *core.Pod) { p.Status.ContainerStatuses = nil })))
}
