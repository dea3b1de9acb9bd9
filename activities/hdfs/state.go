package hdfs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

// ReadState lists the operators of the newest complete snapshot. A checkpoint
// may be subsumed and deleted between the look and the reading: then it looks
// again.
func (a *Activities) ReadState(ctx context.Context, in activities.ReadStateIn) (activities.ReadStateOut, error) {
	for looks := 0; ; looks++ {
		path, err := a.newest(ctx, in)
		if path == "" || err != nil {
			return activities.ReadStateOut{}, err
		}
		found, err := a.client.ReadSnapshot(ctx, path)
		switch gone := failure.CodeOf(err) == failure.NotFound; {
		case gone && path == in.Path:
			return activities.ReadStateOut{}, nil
		case gone && looks < 5:
			continue
		case gone:
			return activities.ReadStateOut{}, failure.Wrap(failure.Unavailable, err, "the checkpoints below %s go before they can be read", in.Directory)
		case err != nil:
			return activities.ReadStateOut{}, err
		}
		out := Summarize(found)
		out.Path = path
		return out, nil
	}
}

func (a *Activities) newest(ctx context.Context, in activities.ReadStateIn) (string, error) {
	if in.Directory == "" {
		return in.Path, nil
	}
	found, err := a.client.FindMetadata(ctx, in.Directory)
	if failure.CodeOf(err) == failure.NotFound {
		return in.Path, nil
	}
	return found.Location, err
}

// Summarize brings a snapshot into a payload's bounds: operators with state
// first, the largest before the others.
func Summarize(s snapshot.Snapshot) activities.ReadStateOut {
	out := activities.ReadStateOut{CheckpointID: s.CheckpointID, Version: s.Version}
	slices.SortStableFunc(s.Operators, func(a, b snapshot.Operator) int {
		if a.HasState() != b.HasState() {
			if a.HasState() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.ID, b.ID))
	})
	named := len(s.Operators) <= agentapi.MaxNamedOperators
	for i, o := range s.Operators {
		if i >= agentapi.MaxOperators {
			out.Omitted++
			if o.HasState() {
				out.OmittedState++
			}
			continue
		}
		stored := activities.StoredOperator{ID: o.ID, Parallelism: o.Parallelism, MaxParallelism: o.MaxParallelism, State: o.HasState(), Bytes: o.Bytes, Bound: o.Collected > 0}
		if named {
			stored.UID, stored.Name = agentapi.OperatorName(o.UID), agentapi.OperatorName(o.Name)
		}
		out.Operators = append(out.Operators, stored)
	}
	return out
}
