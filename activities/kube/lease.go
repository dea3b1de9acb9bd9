package kube

import (
	"context"

	"sluice/activities"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/internal/manifest"
)

func key(identity job.Identity) lease.Key {
	return lease.Key{Namespace: identity.Namespace, Name: identity.Name, JobUID: identity.UID}
}

// ReadLease reads the writer lease. Exists is false only on the API server's
// own NotFound.
func (a *Activities) ReadLease(ctx context.Context, in activities.LeaseIn) (activities.ReadLeaseOut, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.ReadLeaseOut{}, err
	}
	state, err := a.lease.Get(ctx, key(in.Identity))
	if failure.CodeOf(err) == failure.NotFound {
		return activities.ReadLeaseOut{}, nil
	}
	return activities.ReadLeaseOut{Exists: err == nil, State: state}, err
}

// ReserveGeneration creates the Lease at a job's first start and gives the
// operation its generation.
func (a *Activities) ReserveGeneration(ctx context.Context, in activities.LeaseIn) (activities.ReserveOut, error) {
	var out activities.ReserveOut
	reserve := func(state lease.State) (lease.State, error) {
		state, out.Generation = state.Reserve(in.Operation)
		return state, nil
	}
	state, err := a.update(ctx, in.Identity, reserve)
	if failure.CodeOf(err) == failure.NotFound && in.MayCreate {
		// Once in a job's life, so it is the second way tried, not the first.
		if err = a.createLease(ctx, in.Identity); err == nil {
			state, err = a.update(ctx, in.Identity, reserve)
		}
	}
	out.State = state
	return out, err
}

func (a *Activities) createLease(ctx context.Context, identity job.Identity) error {
	_, err := effect.Do(ctx, effect.WriteLease, leaseID(identity), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.lease.Create(ctx, key(identity), manifest.JobLabels(identity.Tenant, identity.Name))
	})
	return err
}

// PlaceHold puts the operation's hold on the Lease.
func (a *Activities) PlaceHold(ctx context.Context, in activities.LeaseIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Place(in.Operation, in.Since, in.Released)
	})
}

// TakeHold puts the operation's hold in the place of a dead one's.
func (a *Activities) TakeHold(ctx context.Context, in activities.TakeHoldIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Take(in.Operation, in.Since, in.Seen)
	})
}

// MoveLease makes the generation the one that may submit.
func (a *Activities) MoveLease(ctx context.Context, in activities.LeaseIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Move(in.Operation, in.Generation)
	})
}

// NoteSize writes the size of an in-place change, before Flink is told.
func (a *Activities) NoteSize(ctx context.Context, in activities.NoteSizeIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Resize(in.Operation, in.Size)
	})
}

// RecordOutcome writes the outcome of an epoch's intent.
func (a *Activities) RecordOutcome(ctx context.Context, in activities.RecordOutcomeIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Record(in.Epoch, in.Outcome, in.Savepoint)
	})
}

// ReleaseHold takes the operation's hold away.
func (a *Activities) ReleaseHold(ctx context.Context, in activities.LeaseIn) (lease.State, error) {
	return a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		return state.Release(in.Operation, in.Profile)
	})
}

// update is the compare-and-swap: one read and one conditional write, more only
// after a lost race.
func (a *Activities) update(ctx context.Context, identity job.Identity, decide func(lease.State) (lease.State, error)) (lease.State, error) {
	if _, err := a.tenant(identity); err != nil {
		return lease.State{}, err
	}
	return effect.Do(ctx, effect.WriteLease, leaseID(identity), func(ctx context.Context) (lease.State, error) {
		return a.lease.Update(ctx, key(identity), decide)
	})
}

func leaseID(identity job.Identity) string { return identity.Namespace + "/" + identity.Name }
