// Package faults hurts the real servers on purpose: it waits for a moment in a
// run's history and kills the processes of pods. It needs the node to be this
// machine and root.
package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// AfterActivity returns when an activity of a name completed in the newest run
// of a workflow id; it follows the history as it is written.
func AfterActivity(ctx context.Context, temporal client.Client, workflowID, activity string) error {
	found, err := completed(ctx, temporal, workflowID, activity, true)
	if err == nil && !found {
		err = fmt.Errorf("%s closed before %s completed", workflowID, activity)
	}
	return err
}

// Completed says whether it has completed so far. Asked right after a kill of
// all workers, it tells whether the kill came in time.
func Completed(ctx context.Context, temporal client.Client, workflowID, activity string) (bool, error) {
	return completed(ctx, temporal, workflowID, activity, false)
}

func completed(ctx context.Context, temporal client.Client, workflowID, activity string, follow bool) (bool, error) {
	scheduled := map[int64]bool{}
	events := temporal.GetWorkflowHistory(ctx, workflowID, "", follow, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return false, err
		}
		if a := event.GetActivityTaskScheduledEventAttributes(); a != nil && a.ActivityType.GetName() == activity {
			scheduled[event.EventId] = true
		}
		if done := event.GetActivityTaskCompletedEventAttributes(); done != nil && scheduled[done.ScheduledEventId] {
			return true, nil
		}
	}
	return false, nil
}

// Processes finds the processes of the containers of pods beforehand, so that
// the kill takes no time when it is due.
func Processes(ctx context.Context, kube kubernetes.Interface, namespace, selector string) ([]int, error) {
	pods, err := kube.CoreV1().Pods(namespace).List(ctx, meta.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, pod := range pods.Items {
		for _, c := range pod.Status.ContainerStatuses {
			if _, id, ok := strings.Cut(c.ContainerID, "://"); ok {
				pids = append(pids, inCgroup(id)...)
			}
		}
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("no process of the pods %s/%s is on this machine", namespace, selector)
	}
	return pids, nil
}

func inCgroup(containerID string) []int {
	var pids []int
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, group := range groups {
		content, err := os.ReadFile(group)
		if err != nil || !strings.Contains(string(content), containerID) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(group))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Kill is kill -9.
func Kill(pids []int) error {
	var all error
	for _, pid := range pids {
		all = errors.Join(all, syscall.Kill(pid, syscall.SIGKILL))
	}
	return all
}
