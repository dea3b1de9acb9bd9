package agent

import (
	"context"
	"strings"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/job"
	"sluice/internal/lease"
)

// closedName is what the primer is called when it takes a submission's place.
const closedName = "sluice-closed"

// closeSubmission ends the uncertainty about a submission that isn't wanted any
// more: the primer is posted under its job id. Either Flink takes it, then the
// user's job can never come under that id; or it has the id already, and the job
// is read. A 404 or a time-out proves nothing (DESIGN §3).
func (a *Agent) closeSubmission(ctx context.Context, r *running, in agentapi.CloseIn) (agentapi.CloseOut, error) {
	state, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) { return s.Close(r.Operation, in.Epoch) })
	if err != nil {
		return agentapi.CloseOut{}, err
	}
	if state.Intent.Outcome.Over() {
		return agentapi.CloseOut{Outcome: string(state.Intent.Outcome)}, nil
	}
	if err := a.quiet(ctx, r); err != nil { // a submit of this very process may still repeat its POST
		return agentapi.CloseOut{}, err
	}
	p := &posting{agent: a, command: r, in: agentapi.SubmitIn{Epoch: in.Epoch, FlinkJobID: in.FlinkJobID}, to: jobManager{
		PodUID: state.Intent.JobManagerPodUID, ContainerID: state.Intent.JobManagerContainerID,
	}}
	if err := p.sameJobManager(ctx); err != nil {
		return agentapi.CloseOut{}, err
	}
	found, err := p.shutDoor(ctx)
	if err != nil {
		return agentapi.CloseOut{}, err
	}
	if err := p.sameJobManager(ctx); err != nil {
		return agentapi.CloseOut{}, err
	}
	if found.Name != closedName && found.Terminal() {
		return agentapi.CloseOut{Outcome: found.State}, a.recordJobEnd(ctx, found.ID, found.State, "")
	}
	outcome := lease.Accepted
	if found.Name == closedName {
		outcome = lease.Closed
	}
	return agentapi.CloseOut{Outcome: string(outcome)}, p.record(ctx, outcome)
}

// shutDoor reads the job under the id, and posts the primer there while there is
// none. The primer's own end is waited for: it takes slots.
func (p *posting) shutDoor(ctx context.Context) (flink.Job, error) {
	a, limit := p.agent, time.Now().Add(postLimit)
	for pace := newPace(100*time.Millisecond, 2*time.Second); ; {
		found, err := a.flink.Job(ctx, p.in.FlinkJobID)
		switch code := failure.CodeOf(err); {
		case err == nil && (found.Name != closedName || found.Terminal()):
			return found, nil
		case err == nil: // the primer is on its way
		case code == failure.NotFound:
			if err := p.postPrimer(ctx); err != nil {
				return found, err
			}
		case code != failure.Unavailable:
			return found, err
		}
		if time.Now().After(limit) {
			return found, failure.New(failure.Unknown, "submission %d could not be closed in %s", p.in.Epoch, postLimit)
		}
		p.command.progress("closing the submission's id")
		if err := pace.pause(ctx); err != nil {
			return found, err
		}
		if err := p.sameJobManager(ctx); err != nil {
			return found, err
		}
	}
}

// postPrimer posts it under the submission's id. Accepted, duplicate and an
// answer that was lost all lead to the next look.
func (p *posting) postPrimer(ctx context.Context) error {
	a := p.agent
	jar, err := a.uploadPrimer(ctx)
	if err != nil {
		return err
	}
	assignment := a.config.Assignment
	primer := flink.Program{
		EntryClass:  primerClass,
		Arguments:   []string{"--directory", assignment.HDFSURI + job.PrimerDirectory(assignment.JobUID, assignment.Generation), "--name", closedName},
		Parallelism: 1,
	}
	_, err = do(ctx, effect.CloseSubmission, p.in.FlinkJobID, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.flink.Run(ctx, jar, primer, p.in.FlinkJobID, "")
	})
	code := failure.CodeOf(err)
	if err == nil || flink.IsDuplicate(err) || code == failure.Unknown || code == failure.Unavailable {
		return nil
	}
	return err
}

// quiet waits until no other command of this process may have an effect.
func (a *Agent) quiet(ctx context.Context, r *running) error {
	for p := newPace(10*time.Millisecond, 250*time.Millisecond); ; {
		busy := a.commands.inFlight(r.ID)
		if len(busy) == 0 {
			return nil
		}
		r.progress("waiting for the end of " + strings.Join(busy, ", "))
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}
