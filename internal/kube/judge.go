package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// Time that a fault gets to heal by itself before it counts as definite.
const (
	grace           = 15 * time.Second // the kubelet's second try, which comes after 10 s: a registry's hiccup
	crashesTolerate = 2                // restarts: a JobManager whose HDFS or DNS wasn't there yet
)

// Available says whether a Deployment is what its newest specification asks
// for. Stale statuses don't count: a status older than the specification says
// nothing about it (the Flink operator's FLINK-40119).
func Available(d *apps.Deployment) bool {
	if d.DeletionTimestamp != nil || d.Status.ObservedGeneration < d.Generation {
		return false
	}
	desired := int32(1)
	if d.Spec.Replicas != nil {
		desired = *d.Spec.Replicas
	}
	for _, condition := range d.Status.Conditions {
		if condition.Type == apps.DeploymentProgressing && condition.Reason == "ProgressDeadlineExceeded" {
			return false
		}
	}
	return d.Status.UpdatedReplicas == desired && d.Status.AvailableReplicas == desired && d.Status.Replicas == desired
}

// Explain says, for people, what a Deployment that isn't available waits for;
// the failure is set when waiting longer is useless. now decides only about
// graces: of image pulls, and placement, that of a pod for which there is no room
// (0: for ever).
func Explain(d *apps.Deployment, pods []*core.Pod, now time.Time, placement time.Duration) (string, *failure.Error) {
	var lines []string
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || podReady(pod) {
			continue
		}
		line, fatal := explainPod(pod, now, placement)
		if fatal != nil {
			return line, fatal.With("deployment", d.Name).With("pod", pod.Name)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return explainDeployment(d, now, placement)
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	const most = 3
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", len(lines)-most))
	}
	return strings.Join(lines, "; "), nil
}

func explainDeployment(d *apps.Deployment, now time.Time, placement time.Duration) (string, *failure.Error) {
	for _, condition := range d.Status.Conditions {
		if condition.Type == apps.DeploymentReplicaFailure && condition.Status == core.ConditionTrue {
			line := "no pod can be made: " + condition.Message
			if strings.Contains(condition.Message, "exceeded quota") && over(condition.LastTransitionTime.Time, now, placement) {
				return line, noRoom(d.Namespace, line).With("deployment", d.Name)
			}
			return line, nil
		}
	}
	return fmt.Sprintf("%d of %d pods available", d.Status.AvailableReplicas, replicas(d)), nil
}

func noRoom(namespace, line string) *failure.Error {
	return failure.New(failure.Refused, "there is no room: %s", line).With(failure.NoRoom, line).
		WithNext("make room (kubectl -n %s get pods; nodes; quota), ask for a smaller profile, or with another strategy", namespace)
}

func over(since, now time.Time, grace time.Duration) bool {
	return grace > 0 && now.Sub(since) > grace
}

func replicas(d *apps.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func podReady(pod *core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

func explainPod(pod *core.Pod, now time.Time, placement time.Duration) (string, *failure.Error) {
	if pod.Spec.NodeName == "" {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == core.PodScheduled && condition.Status == core.ConditionFalse {
				line := pod.Name + " can't be placed: " + condition.Message
				if over(condition.LastTransitionTime.Time, now, placement) {
					return line, noRoom(pod.Namespace, line)
				}
				return line, nil
			}
		}
		return pod.Name + " waits for a node", nil
	}
	for _, status := range pod.Status.InitContainerStatuses {
		if line, fatal := explainInit(pod, status, now); line != "" || fatal != nil {
			return pod.Name + ": " + line, fatal
		}
	}
	statuses := pod.Status.ContainerStatuses
	for _, status := range statuses {
		if line, fatal := explainContainer(pod, status, now); line != "" || fatal != nil {
			return pod.Name + ": " + line, fatal
		}
	}
	if len(statuses) == 0 && pod.Status.Reason != "" {
		return pod.Name + ": " + pod.Status.Reason + " " + pod.Status.Message, nil
	}
	return pod.Name + " starts", nil
}

// explainInit knows that an init container has no port and may say, by its exit
// code, that another try is useless.
func explainInit(pod *core.Pod, status core.ContainerStatus, now time.Time) (string, *failure.Error) {
	if end := status.State.Terminated; end != nil && end.ExitCode == 0 {
		return "", nil // whatever its earlier tries ended with
	}
	for _, end := range []*core.ContainerStateTerminated{status.State.Terminated, status.LastTerminationState.Terminated} {
		if end != nil && end.ExitCode == agentapi.ExitUseless {
			message := strings.TrimSpace(end.Message)
			line := fmt.Sprintf("%s gave up: %s", status.Name, lastLines(message[strings.LastIndex(message, "\n")+1:]))
			return line, failure.New(failure.Incompatible, "container %s", line).
				WithNext("push the artifacts of the revision again (sluice artifact push), then start the operation anew")
		}
	}
	if status.State.Running != nil {
		return status.Name + " is at work", nil
	}
	return explainContainer(pod, status, now)
}

func explainContainer(pod *core.Pod, status core.ContainerStatus, now time.Time) (string, *failure.Error) {
	switch {
	case status.State.Waiting != nil:
		return explainWaiting(pod, status, *status.State.Waiting, now)
	case status.State.Terminated != nil && status.State.Terminated.ExitCode != 0:
		return fmt.Sprintf("%s ended with %s", status.Name, ending(status.State.Terminated)), nil
	case status.State.Running != nil && status.RestartCount > 0 && !status.Ready:
		return fmt.Sprintf("%s runs again after %d restarts, the last one for %s",
			status.Name, status.RestartCount, ending(status.LastTerminationState.Terminated)), nil
	case status.State.Running != nil && !status.Ready:
		return status.Name + " runs, its port isn't open yet", nil
	}
	return "", nil
}

func explainWaiting(pod *core.Pod, status core.ContainerStatus, waiting core.ContainerStateWaiting, now time.Time) (string, *failure.Error) {
	line := strings.TrimSpace(status.Name + " waits: " + waiting.Reason + " " + waiting.Message)
	switch waiting.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		return line, badImage(status.Image, waiting)
	case "ErrImagePull", "ImagePullBackOff":
		if absent(waiting.Message) || now.Sub(pod.CreationTimestamp.Time) > grace {
			return line, badImage(status.Image, waiting)
		}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		if now.Sub(pod.CreationTimestamp.Time) > grace {
			return line, failure.New(failure.Incompatible, "container %s can't be made: %s", status.Name, waiting.Message).
				WithNext("look at the pod: kubectl -n %s describe pod %s", pod.Namespace, pod.Name)
		}
	case "CrashLoopBackOff":
		last := ending(status.LastTerminationState.Terminated)
		line = fmt.Sprintf("%s ended %d times, the last time with %s", status.Name, status.RestartCount+1, last)
		if status.RestartCount > crashesTolerate {
			return line, failure.New(failure.Incompatible, "container %s doesn't stay up: it ended %d times, the last time with %s", status.Name, status.RestartCount+1, last).
				WithNext("read its log: kubectl -n %s logs %s --previous", pod.Namespace, pod.Name)
		}
	}
	return line, nil
}

// absent says whether the registry answered, and said no: no further try gets
// another answer.
func absent(message string) bool {
	return slices.ContainsFunc([]string{"not found", "manifest unknown", "access denied", "insufficient_scope", "unauthorized"},
		func(answer string) bool { return strings.Contains(strings.ToLower(message), answer) })
}

func badImage(image string, waiting core.ContainerStateWaiting) *failure.Error {
	return failure.New(failure.Invalid, "image %s can't be had: %s %s", image, waiting.Reason, waiting.Message).
		WithNext("correct the site's configuration (engines[].image, agentImage) or bring the image to its nodes").
		With("image", image).With("reason", waiting.Reason)
}

// ending is how a container ended, with the last lines that it wrote.
func ending(t *core.ContainerStateTerminated) string {
	if t == nil {
		return "an unknown end"
	}
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Reason != "" {
		text += " (" + t.Reason + ")"
	}
	if message := lastLines(t.Message); message != "" {
		text += ": " + message
	}
	return text
}

// lastLines keeps the end: that is where the reason stands.
func lastLines(message string) string {
	message = job.Redact(strings.TrimSpace(message))
	const most = 400
	if len(message) > most {
		message = "…" + strings.ToValidUTF8(message[len(message)-most:], "")
	}
	return message
}
