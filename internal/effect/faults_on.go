//go:build faults

package effect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
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
	Effect Name   `json:"effect"`
	At     Point  `json:"at"`
	Action string `json:"action"` // "kill" (the process ends at once) "error" (unknown outcome) or "refuse" (a definite no)
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
		mutex.Lock()
		armed = append(armed, f)
		mutex.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
}

func strike(name Name, id string, at Point) error {
	mutex.Lock()
	defer mutex.Unlock()
	for i, f := range armed {
		if f.Effect != name || f.At != at {
			continue
		}
		armed = append(armed[:i], armed[i+1:]...)
		if f.Action == "kill" {
			os.Exit(137) // a container's process 1 can't SIGKILL itself; this runs no deferred code either
		}
		if f.Action == "refuse" {
			return failure.New(failure.Refused, "injected refusal %s %s (%s)", at, name, id)
		}
		return fmt.Errorf("injected fault %s %s (%s)", at, name, id)
	}
	return nil
}

func before(_ context.Context, name Name, id string) error { return strike(name, id, Before) }
func after(_ context.Context, name Name, id string) error  { return strike(name, id, After) }
