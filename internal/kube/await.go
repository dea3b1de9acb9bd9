package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/failure"
)

// Wanted are the Deployments to wait for.
type Wanted struct {
	Namespace string
	Selector  map[string]string // of their pods and of themselves
	Names     []string
	Since     time.Time // from which ReadyMS counts
	// Placement is how long a pod may wait for room before the wait fails (detail
	// failure.NoRoom); 0: for ever.
	Placement time.Duration
	// RoomSince: no pod's wait for room counts as longer than since then.
	RoomSince time.Time
	// Settled is how long to wait also until no pod is left beyond those that are
	// asked for; behind it they stay, as those of a lost node do.
	Settled time.Duration
}

// AwaitAvailable waits by watches until every Deployment wanted is available
// and returns how long each took, in ms since Wanted.Since. progress hears every
// change of what is waited for. It ends early when a pod can't come up (typed
// failure) or a Deployment is proven gone; it doesn't time out: ctx does.
//
// One list and two watches: the list is read from the store, not from a cache
// that may lag behind the apply before it, and gives the generations that the
// watched statuses must have reached.
func (c *Cluster) AwaitAvailable(ctx context.Context, wanted Wanted, progress func(string)) (map[string]int64, error) {
	least, err := c.generations(ctx, wanted)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	view := c.watch(ctx, wanted)
	defer view.close(cancel)

	waiting := newWaiting(wanted, least)
	// Image pulls get a grace, which ends without any event.
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		done, line, err := waiting.look(view, time.Now())
		if err != nil || done {
			return waiting.ready, err
		}
		if line != waiting.last {
			waiting.last = line
			progress(line)
		}
		select {
		case <-ctx.Done():
			return waiting.ready, failure.Wrap(failure.Unavailable, ctx.Err(), "stopped waiting for %s", line)
		case <-view.changed:
		case <-tick.C:
			if waiting.missing(view) {
				if _, err := c.generations(ctx, wanted); failure.CodeOf(err) == failure.NotFound {
					return waiting.ready, err
				}
			}
		}
	}
}

// generations reads each Deployment's metadata.generation from the store.
func (c *Cluster) generations(ctx context.Context, wanted Wanted) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	what := "Deployments in " + wanted.Namespace
	list, err := c.AppsV1().Deployments(wanted.Namespace).List(ctx, meta.ListOptions{LabelSelector: labels.SelectorFromSet(wanted.Selector).String()})
	if err != nil {
		return nil, Translate(err, what)
	}
	found := map[string]int64{}
	for _, d := range list.Items {
		if d.DeletionTimestamp == nil {
			found[d.Name] = d.Generation
		}
	}
	for _, name := range wanted.Names {
		if _, ok := found[name]; !ok {
			return nil, failure.New(failure.NotFound, "Deployment %s/%s does not exist", wanted.Namespace, name).
				WithNext("somebody removed it while the operation was preparing it")
		}
	}
	return found, nil
}

// view is a local copy of the generation's Deployments and pods.
type view struct {
	deployments appslisters.DeploymentLister
	pods        corelisters.PodLister
	factory     informers.SharedInformerFactory
	changed     chan struct{}
}

func (c *Cluster) watch(ctx context.Context, wanted Wanted) *view {
	v := &view{changed: make(chan struct{}, 1)}
	selector := labels.SelectorFromSet(wanted.Selector).String()
	v.factory = informers.NewSharedInformerFactoryWithOptions(c.Interface, 0,
		informers.WithNamespace(wanted.Namespace),
		informers.WithTweakListOptions(func(o *meta.ListOptions) { o.LabelSelector = selector }))
	notify := func() {
		select {
		case v.changed <- struct{}{}:
		default: // a change is already waiting to be looked at
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
	}
	// AddEventHandler fails only on an informer that was stopped.
	_, _ = v.factory.Apps().V1().Deployments().Informer().AddEventHandler(handler)
	_, _ = v.factory.Core().V1().Pods().Informer().AddEventHandler(handler)
	v.deployments = v.factory.Apps().V1().Deployments().Lister()
	v.pods = v.factory.Core().V1().Pods().Lister()
	v.factory.Start(ctx.Done())
	return v
}

func (v *view) close(cancel context.CancelFunc) {
	cancel()
	v.factory.Shutdown()
}

// waiting is the state of one wait.
type waiting struct {
	wanted Wanted
	least  map[string]int64
	ready  map[string]int64
	last   string
	began  time.Time
}

func newWaiting(wanted Wanted, least map[string]int64) *waiting {
	return &waiting{wanted: wanted, least: least, ready: map[string]int64{}, last: "\x00", began: time.Now()}
}

func (w *waiting) look(v *view, now time.Time) (done bool, line string, err error) {
	var lines []string
	available := 0
	for _, name := range w.wanted.Names {
		d, err := v.deployments.Deployments(w.wanted.Namespace).Get(name)
		if err != nil || d.Generation < w.least[name] {
			lines = append(lines, name+": not seen yet")
			continue
		}
		pods := w.podsOf(v, d)
		leaving := now.Sub(w.began) < w.wanted.Settled && living(pods) > int(replicas(d))
		if Available(d) && !leaving {
			available++
			if _, known := w.ready[name]; !known {
				w.ready[name] = now.Sub(w.wanted.Since).Milliseconds()
			}
			continue
		}
		delete(w.ready, name) // it was, and is no more: all must be at the same moment
		if leaving && Available(d) {
			lines = append(lines, fmt.Sprintf("%s: %d pods, %d stay", name, living(pods), replicas(d)))
			continue
		}
		line, fatal := Explain(d, pods, now, w.placement(now))
		if fatal != nil {
			return false, "", fatal
		}
		lines = append(lines, line)
	}
	if available == len(w.wanted.Names) {
		return true, "", nil
	}
	names := slices.Sorted(maps.Keys(w.ready))
	if len(names) > 0 {
		lines = append(lines, fmt.Sprintf("ready: %s", strings.Join(names, ", ")))
	}
	return false, strings.Join(lines, "; "), nil
}

// placement is the grace of pods without room; none where even the whole of it is
// not over since room was made: what the scheduler said before then is old.
func (w *waiting) placement(now time.Time) time.Duration {
	if now.Sub(w.wanted.RoomSince) <= w.wanted.Placement {
		return 0
	}
	return w.wanted.Placement
}

// living counts the pods whose processes may still run, also those that are told
// to end.
func living(pods []*core.Pod) (count int) {
	for _, pod := range pods {
		if pod.Status.Phase != core.PodSucceeded && pod.Status.Phase != core.PodFailed {
			count++
		}
	}
	return count
}

func (w *waiting) missing(v *view) bool {
	return slices.ContainsFunc(w.wanted.Names, func(name string) bool {
		_, err := v.deployments.Deployments(w.wanted.Namespace).Get(name)
		return err != nil
	})
}

func (w *waiting) podsOf(v *view, d *apps.Deployment) []*core.Pod {
	selector, err := meta.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil
	}
	pods, err := v.pods.Pods(d.Namespace).List(selector)
	if err != nil {
		return nil
	}
	return pods
}
