package kube

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestRoomsOfAQuota(t *testing.T) {
	list := func(pairs ...string) core.ResourceList {
		all := core.ResourceList{}
		for pair := range slices.Chunk(pairs, 2) {
			all[core.ResourceName(pair[0])] = resource.MustParse(pair[1])
		}
		return all
	}
	container := func(requests, limits core.ResourceList) core.Container {
		return core.Container{Resources: core.ResourceRequirements{Requests: requests, Limits: limits}}
	}
	pod := core.PodSpec{
		InitContainers: []core.Container{container(list("cpu", "20m", "memory", "2Gi"), nil)},
		Containers:     []core.Container{container(list("cpu", "500m", "memory", "1Gi"), list("memory", "1Gi")), container(list("cpu", "100m"), nil)},
	}
	need := Demand{}
	need.Add(pod, 2)
	quota := core.ResourceQuota{Status: core.ResourceQuotaStatus{
		Hard: list("requests.cpu", "4", "memory", "8Gi", "limits.memory", "2Gi", "pods", "10", "secrets", "3"),
		Used: list("requests.cpu", "3", "memory", "3Gi", "limits.memory", "1Gi", "pods", "9", "secrets", "3"),
	}}
	said := func(goes Demand) map[string]string {
		all := map[string]string{}
		for _, r := range Rooms(quota, need, goes) {
			fits := "no"
			if r.Fits {
				fits = "fits"
			}
			all[r.Resource] = r.Need.String() + " of " + r.Left.String() + ": " + fits
		}
		return all
	}
	require.Equal(t, map[string]string{
		"requests.cpu": "1200m of 1: no", "memory": "4Gi of 5Gi: fits", "limits.memory": "2Gi of 1Gi: no", "pods": "2 of 1: no",
	}, said(nil))
	goes := Demand{}
	goes.Add(pod, 1)
	require.Equal(t, map[string]string{
		"requests.cpu": "1200m of 1600m: fits", "memory": "4Gi of 7Gi: fits", "limits.memory": "2Gi of 2Gi: fits", "pods": "2 of 2: fits",
	}, said(goes), "what goes leaves its room")

	require.True(t, Counts(quota))
	quota.Spec.Scopes = []core.ResourceQuotaScope{core.ResourceQuotaScopeNotTerminating}
	require.True(t, Counts(quota))
	quota.Spec.Scopes = []core.ResourceQuotaScope{core.ResourceQuotaScopeBestEffort}
	require.False(t, Counts(quota))
	quota.Spec = core.ResourceQuotaSpec{ScopeSelector: &core.ScopeSelector{}}
	require.False(t, Counts(quota))
}
