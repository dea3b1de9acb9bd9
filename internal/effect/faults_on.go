//go:build faults

package effect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"

	"sluice/internal/failure"
)

// Point says on which side of the call a fault strikes.
type Point string

// Before the call is made; After it was answered, before anybody knows.
const (
	Before Point = "before"
	After  Point = "after"
)

// Fault is armed through Handler and strikes once.
type Fault struct {
	Effect Name  `json:"effect"`
	At     Point `json:"at"`
	// "kill" (the process ends at once), "error" (unknown outcome), "refuse" (a
	// definite no), "hold" (wait at the door) or "release" (let the held one go on).
	Action string `json:"action"`

	released chan struct{}
}

var (
	mutex sync.Mutex
	armed []Fault
)

// Handler arms faults: PUT a Fault. Memory only: a restarted process is healthy.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if f.Action == "release" {
			release(f.Effect, f.At)
		} else {
			arm(f)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func arm(f Fault) {
	mutex.Lock()
	defer mutex.Unlock()
	f.released = make(chan struct{})
	armed = append(armed, f)
}

// release lets what is held at a point, or would be, go on.
func release(name Name, at Point) {
	mutex.Lock()
	defer mutex.Unlock()
	armed = slices.DeleteFunc(armed, func(f Fault) bool {
		if f.Action != "hold" || f.Effect != name || f.At != at {
			return false
		}
		close(f.released)
		return true
	})
}

// next takes the fault that strikes here; one that holds stays until released.
func next(name Name, at Point) (Fault, bool) {
	mutex.Lock()
	defer mutex.Unlock()
	i := slices.IndexFunc(armed, func(f Fault) bool { return f.Effect == name && f.At == at })
	if i < 0 {
		return Fault{}, false
	}
	f := armed[i]
	if f.Action != "hold" {
		armed = slices.Delete(armed, i, i+1)
	}
	return f, true
}

func strike(ctx context.Context, name Name, id string, at Point) error {
	f, ok := next(name, at)
	if !ok {
		return nil
	}
	switch f.Action {
	case "kill":
		os.Exit(137) // a container's process 1 can't SIGKILL itself; this runs no deferred code either
	case "refuse":
		return failure.New(failure.Refused, "injected refusal %s %s (%s)", at, name, id)
	case "hold":
		select {
		case <-f.released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("injected fault %s %s (%s)", at, name, id)
}

func before(ctx context.Context, name Name, id string) error { return strike(ctx, name, id, Before) }
func after(ctx context.Context, name Name, id string) error  { return strike(ctx, name, id, After) }
