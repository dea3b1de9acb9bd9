package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/job"
)

// Wide makes the profile "wide": its TaskManager asks for six tenths of the CPU
// that is free on the only node, so that there is room for one and not for two.
// Requests aren't limits: nothing is taken from anybody.
func (w *World) Wide() job.Profile {
	w.T.Helper()
	free := w.empty() - 300 // a client and a JobManager of each generation
	require.Greater(w.T, free, int64(300), "m of CPU are free on the node")
	wide := Small
	wide.Name = "wide"
	wide.TaskManager.CPU = fmt.Sprintf("%dm", free*6/10)
	w.Profile(wide)
	w.Say("profile wide: TaskManagers ask for %s of %d m of CPU", wide.TaskManager.CPU, free)
	return wide
}

// Tall makes the profile "tall": JobManager and TaskManager ask for nine twentieths
// each, so that beside them there is room for no other JobManager, and in the place
// of either for one.
func (w *World) Tall() job.Profile {
	w.T.Helper()
	free := w.empty() - 100 // a client of each generation
	require.Greater(w.T, free, int64(300), "m of CPU are free on the node")
	tall := Small
	tall.Name = "tall"
	tall.JobManager.CPU = fmt.Sprintf("%dm", free*9/20)
	tall.TaskManager.CPU = tall.JobManager.CPU
	w.Profile(tall)
	w.Say("profile tall: JobManager and TaskManager ask for %s each of %d m of CPU", tall.JobManager.CPU, free)
	return tall
}

// empty is the free CPU of the node without jobs.
func (w *World) empty() int64 {
	w.T.Helper()
	w.Until("the pods of earlier stories are gone, and their room is free", 2*time.Minute, func() bool {
		pods, err := w.Kube.CoreV1().Pods("").List(context.Background(), meta.ListOptions{LabelSelector: "sluice.io/job"})
		return err == nil && len(pods.Items) == 0
	})
	return w.freeCPU()
}

func (w *World) freeCPU() int64 {
	w.T.Helper()
	nodes, err := w.Kube.CoreV1().Nodes().List(context.Background(), meta.ListOptions{})
	require.NoError(w.T, err)
	require.Len(w.T, nodes.Items, 1)
	free := nodes.Items[0].Status.Allocatable.Cpu().MilliValue()
	pods, err := w.Kube.CoreV1().Pods("").List(context.Background(), meta.ListOptions{})
	require.NoError(w.T, err)
	for _, pod := range pods.Items {
		if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			continue
		}
		for _, container := range pod.Spec.Containers {
			free -= container.Resources.Requests.Cpu().MilliValue()
		}
	}
	return free
}
