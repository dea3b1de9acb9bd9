package kube

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"sluice/activities"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/kube"
	"sluice/internal/kube/answer"
	"sluice/internal/kube/kubelet"
	"sluice/internal/manifest"
)

// UnheardContainers looks for containers that may run as far as anybody can prove,
// and of which no kubelet will speak by itself. One that a kubelet which answers
// calls running is none of them: nobody may declare that dead.
func (a *Activities) UnheardContainers(ctx context.Context, in activities.UnheardIn) (activities.UnheardOut, error) {
	pods, err := a.podsOf(ctx, in.GenerationRef)
	if err != nil {
		return activities.UnheardOut{}, err
	}
	out, nodes := activities.UnheardOut{}, map[string]*core.Node{}
	for i := range pods {
		pod := &pods[i]
		for _, status := range kubelet.Unheard(pod) {
			if kubelet.Declared(pod, status.ContainerID) {
				continue
			}
			why, err := a.silence(ctx, pod, status, nodes)
			if err != nil {
				return out, err
			}
			if why != "" {
				out.Containers = append(out.Containers, unheard(pod, status, why))
			}
		}
	}
	if lost := in.JobManager; lost != nil && !slices.ContainsFunc(pods, func(p core.Pod) bool { return string(p.UID) == lost.PodUID }) {
		out.Containers = append(out.Containers, *lost)
	}
	return out, nil
}

// silence says why a container's kubelet won't speak of it; "": it may.
func (a *Activities) silence(ctx context.Context, pod *core.Pod, status core.ContainerStatus, nodes map[string]*core.Node) (string, error) {
	name := pod.Spec.NodeName
	node, known := nodes[name]
	if !known {
		ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
		defer cancel()
		found, err := a.cluster.CoreV1().Nodes().Get(ctx, name, meta.GetOptions{})
		switch {
		case answer.Absent(err):
			found = nil
		case err != nil:
			return "", kube.Translate(err, "Node "+name)
		}
		node, nodes[name] = found, found
	}
	switch {
	case node == nil:
		return "there is no node " + name + " any more", nil
	case !kube.Answers(node):
		return "node " + name + " doesn't answer", nil
	case status.State.Running == nil:
		return "the kubelet of node " + name + " has lost it", nil
	}
	return "", nil
}

func unheard(pod *core.Pod, status core.ContainerStatus, why string) activities.Unheard {
	return activities.Unheard{
		ContainerID: status.ContainerID, Container: status.Name, Attempt: int(status.RestartCount) + 1,
		PodUID: string(pod.UID), Pod: pod.Name, Role: pod.Labels[manifest.LabelComponent], Why: why,
	}
}

// DeclareEnded notes on their pods that a person said that containers have ended:
// the agent and the observer take that for the kubelet's word. A pod that is gone
// needs no note.
func (a *Activities) DeclareEnded(ctx context.Context, in activities.DeclareIn) (activities.None, error) {
	pods, err := a.podsOf(ctx, in.GenerationRef)
	if err != nil {
		return activities.None{}, err
	}
	for i := range pods {
		if ids := in.Of(string(pods[i].UID)); len(ids) > 0 {
			if err := a.declare(ctx, &pods[i], ids); err != nil {
				return activities.None{}, err
			}
		}
	}
	return activities.None{}, nil
}

func (a *Activities) declare(ctx context.Context, pod *core.Pod, ids []string) error {
	if before := pod.Annotations[kubelet.AnnotationDeclared]; before != "" {
		ids = append(strings.Split(before, ","), ids...)
	}
	slices.Sort(ids)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]string{kubelet.AnnotationDeclared: strings.Join(slices.Compact(ids), ",")},
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
	defer cancel()
	_, err = effect.Do(ctx, effect.DeclareEnded, string(pod.UID), func(ctx context.Context) (*core.Pod, error) {
		return a.cluster.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: manifest.ManagerDeclared})
	})
	if answer.Absent(err) || apierrors.IsConflict(err) {
		return nil // gone, or another one under its name
	}
	return kube.Translate(err, "Pod "+pod.Namespace+"/"+pod.Name)
}

// podsOf lists a generation's pods that run user code.
func (a *Activities) podsOf(ctx context.Context, in activities.GenerationRef) ([]core.Pod, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
	defer cancel()
	list, err := a.cluster.CoreV1().Pods(in.Identity.Namespace).List(ctx, meta.ListOptions{LabelSelector: labels.Set{
		manifest.LabelManagedBy: manifest.ManagedBy, manifest.LabelJob: in.Identity.Name, manifest.LabelGeneration: strconv.Itoa(in.Generation),
	}.String()})
	if err != nil {
		return nil, kube.Translate(err, "the pods of "+in.Identity.String())
	}
	for i := range list.Items {
		if uid := list.Items[i].Annotations[manifest.AnnotationJobUID]; uid != "" && uid != in.Identity.UID {
			return nil, failure.New(failure.Conflict, "Pod %s/%s belongs to job uid %s, not %s", in.Identity.Namespace, list.Items[i].Name, uid, in.Identity.UID)
		}
	}
	return slices.DeleteFunc(list.Items, func(p core.Pod) bool {
		return p.Labels[manifest.LabelComponent] != string(manifest.JobManager) && p.Labels[manifest.LabelComponent] != string(manifest.TaskManager)
	}), nil
}
