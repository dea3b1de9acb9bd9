package agent

import (
	"context"
	"fmt"
	"html"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// prepare makes a fresh cluster ready: the artifact is fetched, uploaded and its
// job graph built while the TaskManagers register; then the primer loads Flink's
// classes in every JVM. Nothing here touches the old job.
func (a *Agent) prepare(ctx context.Context, r *running, in agentapi.PrepareIn) (agentapi.PrepareOut, error) {
	out := agentapi.PrepareOut{Durations: map[string]int64{}}
	clock := newStopwatch(out.Durations)
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error {
		id, facts, err := a.ensureJar(within, r, in.Tenant, in.Spec.Artifact)
		if err != nil {
			return err
		}
		out.ArtifactLen = facts.bytes
		clock.note("fetch", facts.fetch)
		clock.note("upload", facts.upload)
		defer clock.start("plan")()
		nodes, err := a.plan(within, r, id, in)
		out.Vertices = vertices(nodes)
		if err == nil && in.Operators {
			out.Operators, out.OperatorsUnknown, err = a.operators(within, r, in, nodes)
		}
		return err
	})
	group.Go(func() error {
		if err := clock.time("jobmanager", func() error { return a.awaitJobManager(within, r) }); err != nil || in.Slots == 0 {
			return err
		}
		primer := ""
		if in.Prime { // its jar goes up while the TaskManagers come
			var err error
			if primer, err = a.uploadPrimer(within); err != nil {
				return err
			}
		}
		if err := clock.time("slots", func() error { return a.awaitSlots(within, r, in.Slots) }); err != nil || !in.Prime {
			return err
		}
		return clock.time("primer", func() error { return a.prime(within, r, primer, in) })
	})
	if err := group.Wait(); err != nil {
		return agentapi.PrepareOut{}, err
	}
	overview, err := a.flink.Overview(ctx)
	out.Registered = overview.SlotsTotal
	return out, err
}

// awaitJobManager waits until the JobManager's REST answers. It has no end of
// its own: whether its pod will ever run is Kubernetes' to say, the caller waits
// for that too.
func (a *Agent) awaitJobManager(ctx context.Context, r *running) error {
	for p := newPace(50*time.Millisecond, 500*time.Millisecond); ; {
		_, err := a.flink.Overview(ctx)
		if failure.CodeOf(err) != failure.Unavailable && failure.CodeOf(err) != failure.NotFound {
			return err
		}
		r.progress("waiting for the JobManager to answer")
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

func (a *Agent) awaitSlots(ctx context.Context, r *running, slots int) error {
	for p := newPace(50*time.Millisecond, 500*time.Millisecond); ; {
		overview, err := a.flink.Overview(ctx)
		if err == nil && overview.SlotsTotal >= slots {
			return nil
		}
		r.progress(fmt.Sprintf("waiting for slots: %d of %d are registered", overview.SlotsTotal, slots))
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// plan builds the job graph, which runs the user's main.
func (a *Agent) plan(ctx context.Context, r *running, jar string, in agentapi.PrepareIn) (nodes []flink.Node, err error) {
	r.progress("building the job graph")
	err = a.patiently(ctx, func(ctx context.Context) (err error) {
		nodes, err = a.flink.Plan(ctx, jar, a.program(in.Spec, in.Parallelism))
		if flink.IsJarMissing(err) { // the JobManager restarted since the upload
			a.forgetJar(in.Spec.Artifact)
			if jar, _, err = a.ensureJar(ctx, r, in.Tenant, in.Spec.Artifact); err == nil {
				nodes, err = a.flink.Plan(ctx, jar, a.program(in.Spec, in.Parallelism))
			}
		}
		return err
	})
	return nodes, err
}

func vertices(nodes []flink.Node) []agentapi.Vertex {
	all := make([]agentapi.Vertex, 0, len(nodes))
	for _, node := range nodes {
		all = append(all, agentapi.Vertex{ID: node.ID, Name: plainName(node.Description), Parallelism: node.Parallelism})
	}
	return all
}

// plainName turns the plan's HTML tree ("count<br/>:- output<br/>+- trace<br/>")
// into a line.
func plainName(description string) string {
	var parts []string
	for part := range strings.SplitSeq(description, "<br/>") {
		if part = strings.TrimLeft(part, ":+- "); part != "" {
			parts = append(parts, html.UnescapeString(part))
		}
	}
	return strings.Join(parts, ", ")
}

// stopwatch notes how long each part took, in ms; parts run side by side.
type stopwatch struct {
	mutex sync.Mutex
	into  map[string]int64
}

func newStopwatch(into map[string]int64) *stopwatch { return &stopwatch{into: into} }

func (s *stopwatch) note(part string, took time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.into[part] = took.Milliseconds()
}

func (s *stopwatch) start(part string) (stop func()) {
	started := time.Now()
	return func() { s.note(part, time.Since(started)) }
}

func (s *stopwatch) time(part string, call func() error) error {
	defer s.start(part)()
	return call()
}
