package kube

import (
	"maps"
	"slices"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Room is what a ResourceQuota leaves of one resource.
type Room struct {
	Resource         string
	Hard, Left, Need resource.Quantity
	Fits             bool
}

// Demand is what pods take of a quota, by the names that quotas use.
type Demand map[core.ResourceName]resource.Quantity

// Add adds a number of pods of one kind. A pod takes what its containers ask for
// together, or its greediest init container if that asks for more.
func (d Demand) Add(spec core.PodSpec, pods int) {
	once := core.ResourceList{core.ResourcePods: resource.MustParse("1"), "count/pods": resource.MustParse("1")}
	for _, prefix := range []string{"requests.", "limits."} {
		for name, quantity := range asked(spec, prefix == "limits.") {
			once[core.ResourceName(prefix)+name] = quantity
			if prefix == "requests." && (name == core.ResourceCPU || name == core.ResourceMemory) {
				once[name] = quantity // its old name
			}
		}
	}
	for name, quantity := range once {
		sum := d[name]
		for range pods {
			sum.Add(quantity)
		}
		d[name] = sum
	}
}

func asked(spec core.PodSpec, limits bool) core.ResourceList {
	of := func(c core.Container) core.ResourceList {
		if limits {
			return c.Resources.Limits
		}
		return c.Resources.Requests
	}
	sum := core.ResourceList{}
	for _, c := range spec.Containers {
		for name, quantity := range of(c) {
			total := sum[name]
			total.Add(quantity)
			sum[name] = total
		}
	}
	for _, c := range spec.InitContainers {
		for name, quantity := range of(c) {
			if most := sum[name]; quantity.Cmp(most) > 0 {
				sum[name] = quantity
			}
		}
	}
	return sum
}

// Rooms says what a quota leaves for need of each resource that it limits and that
// pods take; what goes by itself counts as left.
func Rooms(quota core.ResourceQuota, need, goes Demand) []Room {
	var all []Room
	for _, name := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
		wanted, takes := need[name]
		if !takes {
			continue
		}
		hard := quota.Status.Hard[name]
		left := hard.DeepCopy()
		left.Sub(quota.Status.Used[name])
		left.Add(goes[name])
		all = append(all, Room{Resource: string(name), Hard: hard, Left: left, Need: wanted, Fits: wanted.Cmp(left) <= 0})
	}
	return all
}

// Counts says whether a quota counts pods of ours: they ask for something, and run
// on for ever. One for other pods, or for a priority class, isn't judged here.
func Counts(quota core.ResourceQuota) bool {
	if quota.Spec.ScopeSelector != nil {
		return false
	}
	return !slices.ContainsFunc(quota.Spec.Scopes, func(s core.ResourceQuotaScope) bool {
		return s != core.ResourceQuotaScopeNotBestEffort && s != core.ResourceQuotaScopeNotTerminating
	})
}
