package observer

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/effect"
	"sluice/internal/kube"
	"sluice/internal/kube/answer"
	"sluice/internal/manifest"
)

const callTimeout = 15 * time.Second

// settle writes what was seen of one pod to the record and then, if the pod is
// over, takes its finalizer. The order is what it is all for.
func (o *Observer) settle(ctx context.Context, key cache.ObjectName) error {
	if err := o.record(ctx, key); err != nil {
		return err
	}
	object, exists, err := o.stores[key.Namespace].GetByKey(key.String())
	if err == nil && !exists {
		o.mutex.Lock()
		delete(o.known, key)
		o.mutex.Unlock()
	}
	pod, ok := object.(*core.Pod)
	if err != nil || !exists || !ok || !slices.Contains(pod.Finalizers, manifest.ProofFinalizer) {
		return err
	}
	over, why := Over(pod)
	if !over && overdue(pod) {
		over, why, err = o.overByNode(ctx, pod)
		if err != nil {
			return err
		}
		if !over {
			o.queue.AddAfter(key, lookAgain)
		}
	}
	if !over {
		if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			// Nothing more will come by itself: a person has to look.
			o.config.Log.WarnContext(ctx, "pod waits for proof of its end", "pod", key.String(), "why", why)
		}
		return nil // the next event brings it back
	}
	if !o.recorded(pod) {
		o.notice(pod) // seen by nobody yet: record first, come again
		return nil
	}
	return o.release(ctx, pod)
}

// record writes the pending ends of a pod, and tells those that are incidents.
func (o *Observer) record(ctx context.Context, key cache.ObjectName) error {
	o.mutex.Lock()
	pending := slices.Clone(o.pending[key])
	o.mutex.Unlock()
	for _, end := range pending {
		if err := o.once(ctx, end); err != nil {
			return err
		}
		o.config.Log.InfoContext(ctx, "container ended", "pod", key.String(), "role", end.Role, "generation", end.Generation,
			"container", end.ContainerID, "exit", end.ExitCode, "at", end.FinishedAt)
		o.mutex.Lock()
		o.settled(key, end)
		o.mutex.Unlock()
	}
	return nil
}

// once writes one end; the proof doesn't wait for who is to be told.
func (o *Observer) once(ctx context.Context, end Seen) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := o.config.Record.RecordContainerEnd(ctx, end.ContainerEnd); err != nil {
		return err
	}
	return o.tell(ctx, end)
}

// settled moves an end from pending to known; the mutex is held.
func (o *Observer) settled(key cache.ObjectName, end Seen) {
	var rest []Seen
	for _, p := range o.pending[key] {
		if p.ContainerID != end.ContainerID {
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		delete(o.pending, key)
	} else {
		o.pending[key] = rest
	}
	if o.known[key] == nil {
		o.known[key] = map[string]bool{}
	}
	o.known[key][end.ContainerID] = true
}

// recorded says whether every end that this version of the pod shows is known
// to be in the record.
func (o *Observer) recorded(pod *core.Pod) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, end := range Ends(pod) {
		if !o.known[cache.MetaObjectToName(pod)][end.ContainerID] {
			return false
		}
	}
	return true
}

// release takes the finalizer from the very pod and version that was judged; a
// newer version comes as an event of its own.
func (o *Observer) release(ctx context.Context, pod *core.Pod) error {
	finalizers := slices.DeleteFunc(slices.Clone(pod.Finalizers), func(name string) bool { return name == manifest.ProofFinalizer })
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "resourceVersion": pod.ResourceVersion, "finalizers": finalizers,
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = effect.Do(ctx, effect.ReleaseProof, string(pod.UID), func(ctx context.Context) (*core.Pod, error) {
		return o.config.Cluster.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: "sluice/observer"})
	})
	if answer.Absent(err) || apierrors.IsConflict(err) {
		return nil // gone, or changed: its event comes
	}
	return kube.Translate(err, "Pod "+pod.Namespace+"/"+pod.Name)
}
