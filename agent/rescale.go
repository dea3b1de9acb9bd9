package agent

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/lease"
)

// rescale gives the running job another parallelism: the one that the Lease
// names, so that whoever submits the job next submits it at the same.
func (a *Agent) rescale(ctx context.Context, r *running, in agentapi.RescaleIn) (agentapi.RescaleOut, error) {
	state, err := a.readLease(ctx)
	if err != nil {
		return agentapi.RescaleOut{}, err
	}
	if err := checkSize(state, r.Generation, in); err != nil {
		return agentapi.RescaleOut{}, err
	}
	within, cancel := context.WithTimeout(ctx, slotsLimit)
	defer cancel()
	if err := a.awaitSlots(within, r, in.Slots); err != nil {
		return agentapi.RescaleOut{}, failure.Wrap(failure.Unproven, err, "%d slots aren't registered after %s", in.Slots, slotsLimit)
	}
	out := agentapi.RescaleOut{}
	r.progress(fmt.Sprintf("from parallelism %d to %d", in.From, in.To))
	err = a.patiently(ctx, func(ctx context.Context) error {
		targets, err := a.wanted(ctx, in)
		if err != nil {
			return err
		}
		if out.SentAt == 0 {
			out.SentAt = time.Now().UnixMilli()
		}
		return a.tellTargets(ctx, in, targets)
	})
	return out, lostJob(err)
}

// lostJob: a JobManager that restarted says of no job what became of it.
func lostJob(err error) error {
	if failure.CodeOf(err) == failure.NotFound {
		return failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the job that is to be rescaled: it may have restarted")
	}
	return err
}

// wanted are the vertices' new parallelisms. Without a list it is guessed who
// follows: whoever runs at the old one.
func (a *Agent) wanted(ctx context.Context, in agentapi.RescaleIn) (map[string]int, error) {
	if in.Targets != nil {
		return in.Targets, nil
	}
	targets, err := a.currentTargets(ctx, in.FlinkJobID)
	for vertex, target := range targets {
		if target == in.From {
			targets[vertex] = in.To
		}
	}
	return targets, err
}

// checkSize refuses a size that the Lease doesn't name: the next submission would
// come at another one than Flink was told.
func checkSize(state lease.State, generation int, in agentapi.RescaleIn) error {
	want := lease.Size{Generation: generation, FlinkJobID: in.FlinkJobID, Parallelism: in.To}
	if state.Size != nil {
		want.Profile = state.Size.Profile
		if *state.Size == want {
			return nil
		}
	}
	return failure.New(failure.Refused, "parallelism %d of Flink job %s is not on the Lease", in.To, in.FlinkJobID)
}

// tellTargets repeats a call whose answer was lost: the same targets again change
// nothing.
func (a *Agent) tellTargets(ctx context.Context, in agentapi.RescaleIn, targets map[string]int) error {
	_, err := do(ctx, effect.RescaleJob, fmt.Sprintf("%s %d", in.FlinkJobID, in.To), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.flink.Rescale(ctx, in.FlinkJobID, targets)
	})
	if failure.CodeOf(err) == failure.Unknown {
		return failure.Wrap(failure.Unavailable, err, "the rescale was not answered")
	}
	if failure.CodeOf(err) == failure.Refused {
		return failure.Wrap(failure.Refused, err, "parallelism %d is not possible in place: %s", in.To, failure.Of(err).Message).WithNext(warmInstead)
	}
	return err
}

// slotsLimit is how long TaskManagers that run may take to register.
const slotsLimit = time.Minute

// parallelism is the one in force in this generation.
func (a *Agent) parallelism(ctx context.Context) (int, error) {
	state, err := a.readLease(ctx)
	if err != nil {
		return 0, err
	}
	if resized := state.Parallelism(a.config.Assignment.Generation); resized > 0 {
		return resized, nil
	}
	return a.config.Assignment.Parallelism, nil
}

// spareLimit is above the time that a job keeps the slots it needs no more
// (slot.idle.timeout, 10 s).
const spareLimit = 20 * time.Second

// spare names TaskManagers without a task, as many as asked for. What tasks keep
// busy to the end isn't named: taking it costs the job a restart.
func (a *Agent) spare(ctx context.Context, r *running, in agentapi.SpareIn) (agentapi.SpareOut, error) {
	limit := time.Now().Add(spareLimit)
	for p := newPace(50*time.Millisecond, 500*time.Millisecond); ; {
		var workers []flink.TaskManager
		err := a.patiently(ctx, func(ctx context.Context) (err error) {
			workers, err = a.flink.TaskManagers(ctx)
			return err
		})
		if err != nil {
			return agentapi.SpareOut{}, err
		}
		out := agentapi.SpareOut{}
		for _, w := range workers {
			if w.SlotsFree == w.SlotsTotal && len(out.Pods) < in.Count {
				out.Pods = append(out.Pods, w.ID)
			}
		}
		if len(out.Pods) == in.Count || time.Now().After(limit) {
			return out, nil
		}
		r.progress(fmt.Sprintf("%d of %d TaskManagers have no task", len(out.Pods), in.Count))
		if err := p.pause(ctx); err != nil {
			return out, err
		}
	}
}
