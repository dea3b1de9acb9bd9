package agent

import (
	"context"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// warmInstead is what to do where the running cluster can't take a size.
const warmInstead = "rescale with --strategy warm: a new cluster is made, and the job is stopped for about a second"

// targets says at what each vertex of the running job is to run, and at what it
// would after a submission with another parallelism. Who follows the profile only
// the program knows: a vertex may run at the profile's parallelism by chance. So
// its job graph is built again, which runs the user's main.
func (a *Agent) targets(ctx context.Context, r *running, in agentapi.TargetsIn) (agentapi.TargetsOut, error) {
	var found flink.Job
	var before map[string]int
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		if found, err = a.flink.Job(ctx, in.FlinkJobID); err == nil {
			before, err = a.currentTargets(ctx, in.FlinkJobID)
		}
		return err
	})
	if err != nil {
		return agentapi.TargetsOut{}, lostJob(err)
	}
	jar, _, err := a.ensureJar(ctx, r, in.Tenant, in.Spec.Artifact)
	if err != nil {
		return agentapi.TargetsOut{}, err
	}
	nodes, err := a.plan(ctx, r, jar, agentapi.PrepareIn{Spec: in.Spec, Parallelism: in.Parallelism, Tenant: in.Tenant})
	if err != nil {
		return agentapi.TargetsOut{}, err
	}
	return targetsAt(in.Parallelism, before, found.Vertices, nodes)
}

// currentTargets are those that Flink is to reach now.
func (a *Agent) currentTargets(ctx context.Context, id string) (map[string]int, error) {
	targets, err := a.flink.Targets(ctx, id)
	if err == nil && targets == nil {
		return nil, failure.New(failure.Refused, "the job runs under Flink's default scheduler, which can't change a parallelism").WithNext(warmInstead)
	}
	return targets, err
}

// targetsAt takes the vertices' parallelisms from the program's graph (nodes), or
// refuses what the running one can't become: a graph with other vertices
// (operators of one parallelism are chained, at another they may not be), or one
// with a vertex above its maximum, which is fixed for as long as the job runs.
func targetsAt(parallelism int, before map[string]int, running []flink.Vertex, nodes []flink.Node) (agentapi.TargetsOut, error) {
	out := agentapi.TargetsOut{Before: before, After: make(map[string]int, len(nodes))}
	for _, node := range nodes {
		now, there := before[node.ID]
		if !there {
			return out, otherGraph(parallelism, plainName(node.Description))
		}
		out.After[node.ID] = node.Parallelism
		if node.Parallelism != now {
			out.Changed++
		}
	}
	for _, v := range running {
		after, there := out.After[v.ID]
		switch {
		case !there:
			return out, otherGraph(parallelism, v.Name)
		case v.Max > 0 && after > v.Max:
			return out, failure.New(failure.Refused, "%q would run at parallelism %d, above its maximum of %d", agentapi.OperatorName(v.Name), after, v.Max).
				With("vertex", v.ID).
				WithNext("name a profile with less parallelism; or, where the program itself gives the vertex another maximum at that size, %s", warmInstead)
		}
	}
	return out, nil
}

func otherGraph(parallelism int, vertex string) error {
	return failure.New(failure.Refused, "at parallelism %d the program makes other vertices than those that run (%q): operators are chained otherwise", parallelism, agentapi.OperatorName(vertex)).
		WithNext(warmInstead)
}
