package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The intent names pod, container and attempt: a later attempt's end proves this one's.
func TestRunningJobManager(t *testing.T) {
	sidecar := core.ContainerStatus{Name: "sidecar", ContainerID: "s", RestartCount: 7, State: core.ContainerState{Running: &core.ContainerStateRunning{}}}
	main := core.ContainerStatus{Name: "jobmanager", ContainerID: "c", RestartCount: 2, State: core.ContainerState{Running: &core.ContainerStateRunning{}}}
	pod := core.Pod{ObjectMeta: meta.ObjectMeta{UID: "p"}, Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{sidecar, main}}}
	found, ok := runningJobManager(&pod)
	require.True(t, ok)
	require.Equal(t, jobManager{PodUID: "p", ContainerID: "c", Attempt: 3}, found)
	require.True(t, found.is(jobManager{PodUID: "p", ContainerID: "c"}), "an older intent has no attempt")
	require.False(t, found.is(jobManager{PodUID: "p", ContainerID: "b", Attempt: 3}))

	pod.Status.ContainerStatuses[1].State = core.ContainerState{Waiting: &core.ContainerStateWaiting{}}
	_, ok = runningJobManager(&pod)
	require.False(t, ok)
}
