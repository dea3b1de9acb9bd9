package agent

import (
	"context"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// operators lists the operators of the job graph that nodes are the plan of. It
// runs the user's main once more. That they can't be told is an answer: unknown
// says why, and Flink itself still refuses state that nobody takes.
func (a *Agent) operators(ctx context.Context, r *running, in agentapi.PrepareIn, nodes []flink.Node) (list []agentapi.Operator, unknown string, err error) {
	r.progress("listing the operators")
	var found []flink.Operator
	err = a.patiently(ctx, func(ctx context.Context) error {
		jar, _, err := a.ensureJar(ctx, r, in.Tenant, in.Spec.Artifact)
		if err != nil {
			return err
		}
		found, err = a.flink.Operators(ctx, jar, a.program(in.Spec, in.Parallelism), nodes)
		if flink.IsJarMissing(err) { // the JobManager restarted since the plan
			a.forgetJar(in.Spec.Artifact)
			return failure.Wrap(failure.Unavailable, err, "the JobManager lost the jar")
		}
		return err
	})
	switch code := failure.CodeOf(err); {
	case err == nil:
	case code == failure.Incompatible || code == failure.Refused:
		return nil, failure.Of(err).Message, nil
	default:
		return nil, "", err
	}
	if len(found) > agentapi.MaxOperators {
		return nil, "the job graph has too many operators to be compared", nil
	}
	list = make([]agentapi.Operator, len(found))
	for i, o := range found {
		list[i] = agentapi.Operator{ID: o.ID, Parallelism: o.Parallelism, Generated: o.Generated}
		if len(found) <= agentapi.MaxNamedOperators {
			list[i].Name = agentapi.OperatorName(plainName(o.Description))
		}
	}
	return list, "", nil
}
