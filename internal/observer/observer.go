// Package observer keeps the proofs of containers' ends (DESIGN §3). It watches
// a site's pods that carry the finalizer sluice.io/proof, writes what the
// kubelets say about ended containers to the record store, and only then takes
// the finalizer away: no end of a container that ran user code gets lost. The end
// of a JobManager that had the job's submission it tells the job's flow, as an
// incident, and a writer lease that is held by an operation whose run isn't open
// too. It starts and stops nothing on the cluster, and it never concludes an end
// from silence: where a kubelet says nothing, the end is that of its node, and only
// when the node is proven off.
//
// One process of a site observes at a time (a Kubernetes Lease elects it). Two
// at once would be harmless: records are keyed by container id, and a finalizer
// is removed from the very version of the pod that was recorded.
package observer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"

	"sluice/internal/kube"
	"sluice/internal/manifest"
	"sluice/internal/store"
)

// Record is the part of the record store that the observer writes.
type Record interface {
	RecordContainerEnd(ctx context.Context, end store.ContainerEnd) error
}

// Config says what to observe and as whom.
type Config struct {
	Cluster    *kube.Cluster
	Record     Record
	Incidents  Incidents
	Runs       Runs
	Log        *slog.Logger
	Site       string
	Namespaces []string // of the tenants: the rights end there, so there is one watch each
	// The election's Lease lies in LeaseNamespace (the platform's own) and is held
	// as Identity (the pod's name).
	LeaseNamespace string
	Identity       string
	Workers        int // pods looked at side by side; 0: 4
}

// Observer is made by New and works while Run runs.
type Observer struct {
	config  Config
	queue   workqueue.TypedRateLimitingInterface[cache.ObjectName]
	stores  map[string]cache.Indexer // by namespace
	mutex   sync.Mutex
	pending map[cache.ObjectName][]Seen          // not yet in the record, or not yet told
	known   map[cache.ObjectName]map[string]bool // container ids that need nothing more
	holds   *holds
	leads   atomic.Bool
}

// Leads says whether this process is its site's observer now.
func (o *Observer) Leads() bool { return o.leads.Load() }

// New makes an observer; it calls nobody.
func New(config Config) *Observer {
	if config.Workers <= 0 {
		config.Workers = 4
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	return &Observer{config: config}
}

// The election's times: a dead observer is replaced within leaseDuration. Late
// is harmless, the finalizers wait.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Run takes part in the election and observes while elected, until ctx ends.
// It comes back to the election when it loses it.
func (o *Observer) Run(ctx context.Context) error {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  meta.ObjectMeta{Name: "sluice-observer-" + o.config.Site, Namespace: o.config.LeaseNamespace},
		Client:     o.config.Cluster.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: o.config.Identity},
	}
	for ctx.Err() == nil {
		// The elector may return while the elected part still runs down.
		var working sync.WaitGroup
		working.Add(1)
		var started sync.Once
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, Name: lock.LeaseMeta.Name, ReleaseOnCancel: true,
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					started.Do(func() {
						defer working.Done()
						o.leads.Store(true)
						defer o.leads.Store(false)
						o.config.Log.InfoContext(ctx, "observing", "site", o.config.Site)
						o.Observe(ctx)
					})
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		elector.Run(ctx)
		started.Do(working.Done) // was never elected
		working.Wait()
	}
	return ctx.Err()
}

// Observe does the work without an election until ctx ends.
func (o *Observer) Observe(ctx context.Context) {
	o.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](200*time.Millisecond, 30*time.Second))
	o.stores = map[string]cache.Indexer{}
	o.pending = map[cache.ObjectName][]Seen{}
	o.known = map[cache.ObjectName]map[string]bool{}
	o.holds = newHolds(o.config)
	var factories []informers.SharedInformerFactory
	for _, namespace := range o.config.Namespaces {
		factory, err := o.inform(namespace)
		if err != nil {
			o.config.Log.ErrorContext(ctx, "cannot watch", "namespace", namespace, "error", err)
			continue
		}
		factory.Start(ctx.Done())
		factories = append(factories, factory)
	}
	var workers sync.WaitGroup
	for range o.config.Workers {
		workers.Go(func() { o.work(ctx) })
	}
	workers.Go(func() { o.holds.work(ctx) })
	<-ctx.Done()
	o.queue.ShutDown()
	o.holds.queue.ShutDown()
	workers.Wait()
	for _, factory := range factories {
		factory.Shutdown()
	}
}

func (o *Observer) inform(namespace string) (informers.SharedInformerFactory, error) {
	selector := labels.Set{manifest.LabelManagedBy: manifest.ManagedBy}.String()
	factory := informers.NewSharedInformerFactoryWithOptions(o.config.Cluster.Interface, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(options *meta.ListOptions) { options.LabelSelector = selector }),
		informers.WithTransform(strip))
	informer := factory.Core().V1().Pods().Informer()
	o.stores[namespace] = informer.GetIndexer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    o.notice,
		UpdateFunc: func(_, pod any) { o.notice(pod) },
		DeleteFunc: o.forget,
	})
	if err != nil {
		return factory, err
	}
	return factory, o.holds.watch(namespace, factory.Coordination().V1().Leases().Informer())
}

// strip keeps of a pod, or a Lease, what is looked at: thousands of them are in
// memory.
func strip(object any) (any, error) {
	if lease, ok := object.(*coordination.Lease); ok {
		lease.ManagedFields = nil
	}
	if pod, ok := object.(*core.Pod); ok {
		pod.ManagedFields = nil
		for _, containers := range [][]core.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range containers {
				containers[i] = core.Container{Name: containers[i].Name}
			}
		}
		pod.Spec.Volumes = nil
	}
	return object, nil
}

// notice keeps every end that an event shows, at once: the next event may show
// a later restart in its place, and the queue merges events.
func (o *Observer) notice(object any) {
	pod, ok := object.(*core.Pod)
	if !ok || !slices.Contains(pod.Finalizers, manifest.ProofFinalizer) {
		return
	}
	key := cache.MetaObjectToName(pod)
	o.mutex.Lock()
	known := o.known[key]
	for _, end := range Ends(pod) {
		if !known[end.ContainerID] && !contains(o.pending[key], end.ContainerID) {
			o.pending[key] = append(o.pending[key], end)
		}
	}
	waiting := len(o.pending[key]) > 0
	o.mutex.Unlock()
	over, _ := Over(pod)
	terminal := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	if waiting || over || terminal {
		o.queue.Add(key)
	} else if pod.DeletionTimestamp != nil { // its kubelet may be away for good
		o.queue.AddAfter(key, time.Until(pod.DeletionTimestamp.Time))
	}
}

func contains(ends []Seen, id string) bool {
	return slices.ContainsFunc(ends, func(end Seen) bool { return end.ContainerID == id })
}

// forget lets settle drop a pod that is gone; if somebody else took its
// finalizer, what was seen is still written.
func (o *Observer) forget(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if pod, ok := object.(*core.Pod); ok {
		o.queue.Add(cache.MetaObjectToName(pod))
	}
}

func (o *Observer) work(ctx context.Context) {
	for {
		key, closed := o.queue.Get()
		if closed {
			return
		}
		if err := o.settle(ctx, key); err != nil {
			if !errors.Is(err, context.Canceled) {
				o.config.Log.WarnContext(ctx, "container's end not settled yet", "pod", key.String(), "try", o.queue.NumRequeues(key)+1, "error", err)
			}
			o.queue.AddRateLimited(key)
		} else {
			o.queue.Forget(key)
		}
		o.queue.Done(key)
	}
}
