package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Only the kubelet's word is an end; a container that it hasn't spoken of may run.
func TestContainersEnded(t *testing.T) {
	end := &core.ContainerStateTerminated{ContainerID: "c", FinishedAt: meta.Now()}
	runs := core.ContainerStatus{ContainerID: "c", State: core.ContainerState{Running: &core.ContainerStateRunning{}}}
	ended := core.ContainerStatus{ContainerID: "c", State: core.ContainerState{Terminated: end}}
	waiting := core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	again := core.ContainerStatus{ContainerID: "c", RestartCount: 1, State: waiting, LastTerminationState: core.ContainerState{Terminated: end}}
	lost := core.ContainerStatus{ContainerID: "c", State: core.ContainerState{Terminated: &core.ContainerStateTerminated{
		ContainerID: "c", FinishedAt: meta.Now(), Reason: "ContainerStatusUnknown",
	}}}
	lostBefore := core.ContainerStatus{ContainerID: "c", RestartCount: 1, State: waiting, LastTerminationState: lost.State}
	pod := func(node string, statuses ...core.ContainerStatus) *core.Pod {
		return &core.Pod{Spec: core.PodSpec{NodeName: node}, Status: core.PodStatus{ContainerStatuses: statuses}}
	}
	collected := pod("n")
	collected.Status.Phase = core.PodFailed
	for name, c := range map[string]struct {
		pod  *core.Pod
		want bool
	}{
		"runs":                                    {pod("n", runs), false},
		"ended":                                   {pod("n", ended), true},
		"waits for its next start":                {pod("n", again), true},
		"waits for its first start":               {pod("n", core.ContainerStatus{State: waiting}), true},
		"waits, and the one before was lost":      {pod("n", lostBefore), false},
		"one of two runs":                         {pod("n", ended, runs), false},
		"never got to a node":                     {pod(""), true},
		"no word about its container":             {pod("n"), false},
		"an empty state of one that had an id":    {pod("n", core.ContainerStatus{ContainerID: "c"}), false},
		"lost by its runtime":                     {pod("n", lost), false},
		"failed by the control plane, not a word": {collected, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, containersEnded(c.pod)) })
	}
}
