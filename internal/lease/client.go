package lease

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	leases "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"sluice/internal/failure"
	"sluice/internal/kube/answer"
)

// annotation holds the State as JSON: the Lease's own fields are for elections
// by clock, which is just what a writer lease must not be.
const annotation = "sluice.io/writer"

// Client reads and writes the writer leases of one cluster.
type Client struct{ API leases.LeasesGetter }

// Key finds a job's Lease.
type Key struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`   // the job's
	JobUID    string `json:"jobUid"` // a Lease of another uid is refused
}

// Create makes the Lease at a job's first start. One that exists with the same
// uid is left as it is; another uid is a Conflict.
func (c Client) Create(ctx context.Context, key Key, labels map[string]string) error {
	body, err := encode(State{JobUID: key.JobUID})
	if err != nil {
		return err
	}
	_, err = c.API.Leases(key.Namespace).Create(ctx, &coordination.Lease{ObjectMeta: meta.ObjectMeta{
		Name: key.Name, Namespace: key.Namespace, Labels: labels, Annotations: map[string]string{annotation: body},
	}}, meta.CreateOptions{FieldManager: "sluice/lease"})
	if apierrors.IsAlreadyExists(err) {
		_, err = c.Get(ctx, key)
		return err
	}
	return translate(err, key)
}

// Get reads the State. NotFound only when the API server says so.
func (c Client) Get(ctx context.Context, key Key) (State, error) {
	reading, err := c.Read(ctx, key)
	return reading.State, err
}

// Reading is a State with the version of the Lease that carries it.
type Reading struct {
	State  State
	object *coordination.Lease
}

// Read is Get for a later UpdateFrom.
func (c Client) Read(ctx context.Context, key Key) (Reading, error) {
	object, err := c.API.Leases(key.Namespace).Get(ctx, key.Name, meta.GetOptions{})
	if err != nil {
		return Reading{}, translate(err, key)
	}
	state, err := Decode(object)
	if err != nil {
		return Reading{}, err
	}
	if state.JobUID != key.JobUID {
		return Reading{}, failure.New(failure.Conflict, "Lease %s/%s belongs to job uid %s, not %s", key.Namespace, key.Name, state.JobUID, key.JobUID).
			WithNext("a job of the same name was deleted and made again, or another platform uses this namespace")
	}
	return Reading{state, object}, nil
}

// Decode reads the State that a Lease carries.
func Decode(object *coordination.Lease) (State, error) {
	var state State
	if err := json.Unmarshal([]byte(object.Annotations[annotation]), &state); err != nil {
		return State{}, failure.Wrap(failure.Refused, err, "Lease %s/%s is not readable as a writer lease", object.Namespace, object.Name)
	}
	return state, nil
}

// maxSwaps bounds how often a lost race is tried again: each loss means that
// somebody else's write succeeded.
const maxSwaps = 20

// lost counts the races: each means that somebody else wrote in between.
var lost, _ = otel.Meter("sluice/lease").Int64Counter("sluice.lease.conflicts",
	metric.WithDescription("Swaps of a writer lease that another write overtook and that were tried again"))

// Update reads the State, lets decide make the next one and stores it, only if
// nobody wrote in between; else it reads and decides again. decide must be
// pure. Its error ends the update and is returned as it is. An unchanged State
// is not written.
func (c Client) Update(ctx context.Context, key Key, decide func(State) (State, error)) (State, error) {
	written, err := c.UpdateFrom(ctx, key, Reading{}, decide)
	return written.State, err
}

// UpdateFrom is Update whose first decision rests on an earlier reading, which
// saves one. Of that decision only a write that the API server took counts: a
// refusal, or that there is nothing to write, is decided again on a fresh reading.
func (c Client) UpdateFrom(ctx context.Context, key Key, earlier Reading, decide func(State) (State, error)) (Reading, error) {
	lost.Add(ctx, 0) // there from the first write on: a rate needs a first value
	if earlier.object != nil && earlier.object.Namespace == key.Namespace && earlier.object.Name == key.Name && earlier.State.JobUID == key.JobUID {
		if next, err := decide(earlier.State); err == nil {
			if written, stored, err := c.swap(ctx, key, earlier, next); err == nil && stored {
				return written, nil
			}
		}
	}
	for range maxSwaps {
		now, err := c.Read(ctx, key)
		if err != nil {
			return Reading{}, err
		}
		next, err := decide(now.State)
		if err != nil {
			return now, err
		}
		written, _, err := c.swap(ctx, key, now, next)
		if apierrors.IsConflict(err) {
			lost.Add(ctx, 1)
			continue
		}
		if err != nil {
			return now, err
		}
		return written, nil
	}
	return Reading{}, failure.New(failure.Unavailable, "Lease %s/%s changed %d times while it was to be written", key.Namespace, key.Name, maxSwaps)
}

// swap stores next if the Lease is still what was read; stored is false where
// there was nothing to write. A lost race is Kubernetes' own conflict.
func (c Client) swap(ctx context.Context, key Key, read Reading, next State) (written Reading, stored bool, err error) {
	body, err := encodeOver(read.object.Annotations[annotation], next)
	if err != nil {
		return read, false, err
	}
	if read.object.Annotations[annotation] == body {
		return Reading{next, read.object}, false, nil
	}
	object := read.object.DeepCopy() // it keeps its resourceVersion: the swap's condition
	object.Annotations[annotation] = body
	object, err = c.API.Leases(key.Namespace).Update(ctx, object, meta.UpdateOptions{FieldManager: "sluice/lease"})
	if apierrors.IsConflict(err) {
		return read, false, err
	}
	if err != nil {
		return read, false, translate(err, key)
	}
	return Reading{next, object}, true, nil
}

func encode(state State) (string, error) {
	body, err := json.Marshal(state)
	if err != nil {
		return "", failure.Wrap(failure.Internal, err, "encode the writer lease")
	}
	return string(body), nil
}

// encodeOver encodes the State and keeps the top-level fields of the stored one
// that this version doesn't know: an agent may be older than the worker. Fields
// that come later therefore go to the top level.
func encodeOver(stored string, state State) (string, error) {
	body, err := encode(state)
	if err != nil {
		return "", err
	}
	var kept, known map[string]json.RawMessage
	if err := json.Unmarshal([]byte(stored), &kept); err != nil {
		return "", failure.Wrap(failure.Refused, err, "the stored writer lease is not readable")
	}
	if err := json.Unmarshal([]byte(body), &known); err != nil {
		return "", failure.Wrap(failure.Internal, err, "encode the writer lease")
	}
	unknown := false
	for name, value := range kept {
		if !slices.Contains(fields, name) {
			known[name] = value
			unknown = true
		}
	}
	if !unknown {
		return body, nil
	}
	merged, err := json.Marshal(known)
	if err != nil {
		return "", failure.Wrap(failure.Internal, err, "encode the writer lease")
	}
	return string(merged), nil
}

// fields are the State's own, by their names in JSON.
var fields = func() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[State]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

func translate(err error, key Key) error {
	switch {
	case err == nil:
		return nil
	case answer.Absent(err):
		return failure.Wrap(failure.NotFound, err, "Lease %s/%s does not exist", key.Namespace, key.Name)
	case apierrors.IsForbidden(err):
		return failure.Wrap(failure.Forbidden, err, "the service account may not use Lease %s/%s", key.Namespace, key.Name)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return failure.Wrap(failure.Internal, err, "Lease %s/%s was refused", key.Namespace, key.Name)
	}
	return failure.Wrap(failure.Unavailable, err, "Kubernetes did not answer for Lease %s/%s", key.Namespace, key.Name)
}
