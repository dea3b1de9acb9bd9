package observer

import (
	"context"
	"errors"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/internal/manifest"
)

// Runs knows which operation's run is open under a job's lock.
type Runs interface {
	// Open gives the operation of the run that is open; "": none is, or one that is
	// no operation's. An error says nothing.
	Open(ctx context.Context, ref job.Ref) (operation string, err error)
}

// holds finds the writer leases that are held by operations whose run isn't open
// (DESIGN §4). A run's end is no event of Kubernetes': a Lease is looked at again
// for as long as it is held, and no other is looked at at all.
type holds struct {
	config Config
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	mutex  sync.Mutex
	stores map[string]cache.Indexer       // by namespace
	seen   map[cache.ObjectName]suspicion // Leases that are held
}

// suspicion is what was found out about a hold.
type suspicion struct {
	id     string // job.HoldIncidentID
	closed bool   // its run wasn't open at the last look
	told   bool
}

// A hold is looked at lookAgain behind the last look; its operation is accused at
// the second look in a row that finds no run, at least grace after the first: a
// run that hands over to the next or closes is none.
const (
	holdGrace     = 15 * time.Second
	holdLookAgain = 30 * time.Second
)

func newHolds(config Config) *holds {
	return &holds{
		config: config, stores: map[string]cache.Indexer{}, seen: map[cache.ObjectName]suspicion{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](time.Second, time.Minute)),
	}
}

// watch looks at the Leases of an informer.
func (h *holds) watch(namespace string, informer cache.SharedIndexInformer) error {
	h.stores[namespace] = informer.GetIndexer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    h.notice,
		UpdateFunc: func(_, object any) { h.notice(object) },
		DeleteFunc: func(object any) {
			if key, err := cache.DeletionHandlingObjectToName(object); err == nil {
				h.forget(key)
			}
		},
	})
	return err
}

// notice begins to look at a Lease that is held, and no more at one that is free.
func (h *holds) notice(object any) {
	found, ok := object.(*coordination.Lease)
	if !ok {
		return
	}
	key := cache.MetaObjectToName(found)
	if state, err := lease.Decode(found); err != nil || state.Hold == nil {
		h.forget(key)
		return
	}
	h.mutex.Lock()
	_, known := h.seen[key]
	if !known {
		h.seen[key] = suspicion{}
	}
	h.mutex.Unlock()
	if !known {
		h.queue.AddAfter(key, holdGrace)
	}
}

func (h *holds) forget(key cache.ObjectName) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.seen, key)
}

func (h *holds) work(ctx context.Context) {
	for {
		key, closed := h.queue.Get()
		if closed {
			return
		}
		again, err := h.look(ctx, key)
		switch {
		case err != nil:
			if !errors.Is(err, context.Canceled) {
				h.config.Log.WarnContext(ctx, "a hold can't be looked behind now", "lease", key.String(), "error", err)
			}
			h.queue.AddRateLimited(key)
		default:
			h.queue.Forget(key)
			if again > 0 {
				h.queue.AddAfter(key, again)
			}
		}
		h.queue.Done(key)
	}
}

// look asks whether the holder's run is open, and then whether it still holds: a
// run gives its hold up before it closes. again is when to look next; 0: no more,
// until the Lease changes.
func (h *holds) look(ctx context.Context, key cache.ObjectName) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	object, exists, err := h.stores[key.Namespace].GetByKey(key.String())
	found, ok := object.(*coordination.Lease)
	if err != nil || !exists || !ok {
		h.forget(key)
		return 0, err
	}
	before, err := lease.Decode(found)
	if err != nil || before.Hold == nil {
		h.forget(key)
		return 0, nil
	}
	ref := job.Ref{Tenant: found.Labels[manifest.LabelTenant], Name: found.Labels[manifest.LabelJob]}
	open, err := h.config.Runs.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	writer := lease.Client{API: h.config.Cluster.CoordinationV1()}
	now, err := writer.Get(ctx, lease.Key{Namespace: key.Namespace, Name: key.Name, JobUID: before.JobUID})
	if code := failure.CodeOf(err); code == failure.NotFound || code == failure.Conflict {
		h.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	incident := orphan(ref, now)
	if incident == nil || before.Hold.Operation != now.Hold.Operation || open == now.Hold.Operation {
		h.note(key, suspicion{})
		return holdLookAgain, nil
	}
	return h.accuse(ctx, key, *incident)
}

// accuse tells of a hold whose run wasn't open, at the second look.
func (h *holds) accuse(ctx context.Context, key cache.ObjectName, incident job.Incident) (time.Duration, error) {
	h.mutex.Lock()
	known := h.seen[key]
	h.mutex.Unlock()
	switch {
	case known.id != incident.ID || !known.closed:
		h.note(key, suspicion{id: incident.ID, closed: true})
		return holdGrace, nil
	case known.told:
		return holdLookAgain, nil
	}
	if err := h.config.Incidents.Tell(ctx, incident); err != nil {
		return 0, err
	}
	h.note(key, suspicion{id: incident.ID, closed: true, told: true})
	h.config.Log.WarnContext(ctx, "incident told", "job", incident.Job.String(), "incident", incident.ID, "what", incident.String())
	return holdLookAgain, nil
}

// note keeps what a look found, unless the Lease became free meanwhile.
func (h *holds) note(key cache.ObjectName, s suspicion) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if _, held := h.seen[key]; held {
		h.seen[key] = s
	}
}

// orphan is the incident that a hold would be whose operation's run isn't open;
// nil: the Lease is free.
func orphan(ref job.Ref, state lease.State) *job.Incident {
	if state.Hold == nil {
		return nil
	}
	return &job.Incident{
		ID: job.HoldIncidentID(state.JobUID, state.Hold.Epoch, state.Hold.Operation), Kind: job.IncidentHold, Job: ref, UID: state.JobUID,
		Generation: state.ActiveGeneration(), Epoch: state.Hold.Epoch, HeldBy: state.Hold.Operation, FinishedAt: state.Hold.Since,
	}
}
