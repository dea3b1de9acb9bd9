package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/failure"
)

// A Deployment's status no longer counts a pod that was told to end; its
// processes run on for a while.
func TestSettledWaitsForThePodsThatGo(t *testing.T) {
	d := deployment(func(d *apps.Deployment) { d.Spec.Selector = &meta.LabelSelector{} })
	now := meta.Now()
	for name, c := range map[string]struct {
		settled time.Duration
		third   func(*core.Pod)
		want    bool
	}{
		"nobody asked":     {0, func(p *core.Pod) { p.DeletionTimestamp = &now }, true},
		"it ends":          {time.Minute, func(p *core.Pod) { p.DeletionTimestamp = &now }, false},
		"not seen to go":   {time.Minute, func(*core.Pod) {}, false},
		"it has ended":     {time.Minute, func(p *core.Pod) { p.Status.Phase = core.PodSucceeded }, true},
		"its node is lost": {time.Nanosecond, func(p *core.Pod) { p.DeletionTimestamp = &now }, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := seen(t, d, pod(func(p *core.Pod) { p.Name = "a" }), pod(func(p *core.Pod) { p.Name = "b" }),
				pod(func(p *core.Pod) { p.Name = "c"; c.third(p) }))
			w := newWaiting(Wanted{Namespace: d.Namespace, Names: []string{d.Name}, Settled: c.settled}, nil)
			done, line, err := w.look(v, time.Now())
			require.NoError(t, err)
			require.Equal(t, c.want, done, line)
		})
	}
}

// What the scheduler said of a pod before room was made is old.
func TestRoomThatWasMadeGivesTheWholeGraceAnew(t *testing.T) {
	now := time.Now()
	d := deployment(func(d *apps.Deployment) { d.Spec.Selector = &meta.LabelSelector{}; d.Status.AvailableReplicas = 0 })
	v := seen(t, d, pod(justUnschedulable(now.Add(-time.Hour))))
	for name, c := range map[string]struct {
		made time.Time
		want bool
	}{
		"never":        {time.Time{}, true},
		"just now":     {now.Add(-time.Minute), false},
		"a while ago":  {now.Add(-6 * time.Minute), true},
		"by its clock": {now.Add(time.Second), false},
	} {
		w := newWaiting(Wanted{Namespace: d.Namespace, Names: []string{d.Name}, Placement: 5 * time.Minute, RoomSince: c.made}, nil)
		_, _, err := w.look(v, now)
		if c.want {
			require.NotEmpty(t, failure.Of(err).Details[failure.NoRoom], name)
		} else {
			require.NoError(t, err, name)
		}
	}
}

func seen(t *testing.T, d *apps.Deployment, pods ...*core.Pod) *view {
	t.Helper()
	index := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	deployments, all := index(), index()
	require.NoError(t, deployments.Add(d))
	for _, p := range pods {
		p.Namespace = d.Namespace
		require.NoError(t, all.Add(p))
	}
	return &view{deployments: appslisters.NewDeploymentLister(deployments), pods: corelisters.NewPodLister(all)}
}
