package agent

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
)

// commands knows the commands of this process: it runs each in a goroutine of
// its own, keeps its status, and wakes those who wait for a change.
type commands struct {
	execute func(context.Context, *running) (any, error)

	mutex   sync.Mutex
	base    context.Context //nolint:containedctx // the process's, for goroutines that outlive their request
	byID    map[string]*running
	order   []string // oldest first, to forget
	changed chan struct{}
	group   sync.WaitGroup
}

// maxKept bounds the finished commands that are remembered; one forgotten is put
// again and finds its effects done.
const maxKept = 200

// running is one command and what is known of it.
type running struct {
	agentapi.Command
	commands *commands
	status   agentapi.Status
}

func newCommands(execute func(context.Context, *running) (any, error)) *commands {
	return &commands{execute: execute, byID: map[string]*running{}, changed: make(chan struct{})}
}

func (c *commands) start(ctx context.Context) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.base = ctx
}

func (c *commands) wait() { c.group.Wait() }

// put starts a command, or gives the status of the one that has its id. Of ctx
// only the caller's span is used: the command outlives its request.
func (c *commands) put(ctx context.Context, command agentapi.Command) (agentapi.Status, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.base == nil {
		return agentapi.Status{}, failure.New(failure.Unavailable, "the agent is starting")
	}
	r, known := c.byID[command.ID]
	if known {
		if !reflect.DeepEqual(r.Command, command) {
			return r.status, failure.New(failure.Conflict, "command %s was put before with another body", command.ID)
		}
		if !again(r.status) {
			return r.status, nil
		}
		r.status = agentapi.Status{ID: command.ID, Phase: agentapi.Running, Version: r.status.Version + 1}
	} else {
		r = &running{Command: command, commands: c, status: agentapi.Status{ID: command.ID, Phase: agentapi.Running, Version: 1}}
		c.byID[command.ID] = r
		c.order = append(c.order, command.ID)
		c.forget()
	}
	c.wake()
	c.group.Add(1)
	go c.run(trace.ContextWithSpanContext(c.base, trace.SpanContextFromContext(ctx)), r) //nolint:contextcheck // the command outlives its request
	return r.status, nil
}

// again says whether a put command that had failed is worth another run: when
// the failure says that nothing is known yet, not when it is a verdict. A red
// soak must not turn green because its answer was lost.
func again(status agentapi.Status) bool {
	if status.Phase != agentapi.Failed || status.Failure == nil {
		return false
	}
	switch status.Failure.Code {
	case failure.Unavailable, failure.Unknown, failure.Unproven, failure.Internal, failure.Forbidden:
		return true
	default:
		return false
	}
}

func (c *commands) run(ctx context.Context, r *running) {
	defer c.group.Done()
	out, err := c.execute(ctx, r)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(out); err == nil {
			r.update(func(s *agentapi.Status) { s.Phase, s.Result, s.Progress = agentapi.Done, data, "" })
			return
		}
	}
	if ctx.Err() != nil {
		err = failure.Wrap(failure.Unavailable, err, "the agent is stopping")
	}
	f := failure.Of(err)
	if f.Details == nil && f.Unwrap() != nil { // the cause itself doesn't travel
		copied := *f
		f = (&copied).With("cause", f.Unwrap().Error())
	}
	r.update(func(s *agentapi.Status) { s.Phase, s.Failure = agentapi.Failed, f })
}

// get waits until the command's version is above version, or the wait is over.
func (c *commands) get(ctx context.Context, id string, version int64, wait time.Duration) (agentapi.Status, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mutex.Lock()
		r, known := c.byID[id]
		changed := c.changed
		var status agentapi.Status
		if known {
			status = r.status
		}
		c.mutex.Unlock()
		if !known {
			return status, failure.New(failure.NotFound, "this agent process doesn't know command %s", id).
				WithNext("put it again")
		}
		if status.Version > version || status.Phase != agentapi.Running {
			return status, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return status, nil
		case <-ctx.Done():
			return status, nil
		}
	}
}

// inFlight lists the commands with effects that are running, but for one.
func (c *commands) inFlight(but string) []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var ids []string
	for id, r := range c.byID {
		if id != but && r.status.Phase == agentapi.Running && kinds[r.Kind].effects {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (c *commands) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// forget drops the oldest finished commands over the bound.
func (c *commands) forget() {
	for i := 0; len(c.byID) > maxKept && i < len(c.order); {
		if r := c.byID[c.order[i]]; r.status.Phase == agentapi.Running {
			i++
			continue
		}
		delete(c.byID, c.order[i])
		c.order = slices.Delete(c.order, i, i+1)
	}
}

func (r *running) update(change func(*agentapi.Status)) {
	r.commands.mutex.Lock()
	defer r.commands.mutex.Unlock()
	change(&r.status)
	r.status.Version++
	r.commands.wake()
}

// progress tells people what the command is doing; telling the same again is
// no change.
func (r *running) progress(text string) {
	r.commands.mutex.Lock()
	same := r.status.Progress == text
	r.commands.mutex.Unlock()
	if !same {
		r.update(func(s *agentapi.Status) { s.Progress = text })
	}
}
