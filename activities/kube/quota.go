package kube

import (
	"context"
	"encoding/json"
	"strconv"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"

	"sluice/activities"
	"sluice/internal/kube"
	"sluice/internal/manifest"
)

// LookAtQuota sets the pods of a generation that isn't made yet against the quotas of
// its namespace.
func (a *Activities) LookAtQuota(ctx context.Context, in activities.QuotaIn) (activities.QuotaOut, error) {
	out := activities.QuotaOut{}
	input, err := a.input(in.GenerationIn)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
	defer cancel()
	quotas, err := a.cluster.CoreV1().ResourceQuotas(in.Identity.Namespace).List(ctx, meta.ListOptions{})
	if err != nil {
		return out, kube.Translate(err, "the quotas of namespace "+in.Identity.Namespace)
	}
	if len(quotas.Items) == 0 {
		return out, nil
	}
	all, cold, err := demands(input)
	if err != nil {
		return out, err
	}
	goes, err := a.going(ctx, in)
	if err != nil {
		return out, err
	}
	for _, quota := range quotas.Items {
		if !kube.Counts(quota) {
			continue
		}
		withoutWorkers := kube.Rooms(quota, cold, goes)
		for i, room := range kube.Rooms(quota, all, goes) {
			out.Rooms = append(out.Rooms, activities.QuotaRoom{
				Quota: quota.Name, Resource: room.Resource, Hard: room.Hard.String(), Left: room.Left.String(), Needs: room.Need.String(),
				Fits: room.Fits, FitsCold: withoutWorkers[i].Fits,
			})
		}
	}
	return out, nil
}

// demands are those of a whole generation, and of one without its TaskManagers. Both
// are of the same resources.
func demands(input manifest.Input) (all, cold kube.Demand, err error) {
	jobManager, err := input.JobManagerDeployment("")
	if err != nil {
		return nil, nil, err
	}
	workers, err := input.TaskManagerDeployment("")
	if err != nil {
		return nil, nil, err
	}
	all, cold = kube.Demand{}, kube.Demand{}
	for _, d := range []*applyapps.DeploymentApplyConfiguration{input.AgentDeployment(""), jobManager, workers} {
		var spec core.PodSpec
		data, err := json.Marshal(d.Spec.Template.Spec)
		if err == nil {
			err = json.Unmarshal(data, &spec)
		}
		if err != nil {
			return nil, nil, err
		}
		all.Add(spec, int(*d.Spec.Replicas))
		if d == workers {
			cold.Add(spec, 0)
		} else {
			cold.Add(spec, int(*d.Spec.Replicas))
		}
	}
	return all, cold, nil
}

// going are the pods whose room is free soon: they are being deleted, or of a
// generation of this job that isn't the active one.
func (a *Activities) going(ctx context.Context, in activities.QuotaIn) (kube.Demand, error) {
	pods, err := a.cluster.CoreV1().Pods(in.Identity.Namespace).List(ctx, meta.ListOptions{LabelSelector: labels.Set{manifest.LabelManagedBy: manifest.ManagedBy}.String()})
	if err != nil {
		return nil, kube.Translate(err, "the pods of namespace "+in.Identity.Namespace)
	}
	goes := kube.Demand{}
	for _, pod := range pods.Items {
		left := pod.Labels[manifest.LabelJob] == in.Identity.Name && pod.Labels[manifest.LabelGeneration] != strconv.Itoa(in.Active)
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed // no quota counts it any more
		if !ended && (left || pod.DeletionTimestamp != nil) {
			goes.Add(pod.Spec, 1)
		}
	}
	return goes, nil
}
