// Package record implements the record store's activities: unpack, call, map.
// It decides nothing; errors are failures, which the worker's interceptor turns
// into Temporal's.
package record

import (
	"context"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

// Activities hold the store and what the configuration says of tenants.
type Activities struct {
	Store      *store.Store
	Namespaces map[string]string // tenant → Kubernetes namespace at this site
	FS         string            // the site's file system, hdfs://host:port
}

// Register registers each activity under its Def's name.
func (a *Activities) Register(registry activities.Registry) {
	activities.Register(registry, activities.Claim, a.claim)
	activities.Register(registry, activities.Resolve, a.resolve)
	activities.Register(registry, activities.Snapshots, a.snapshots)
	activities.Register(registry, activities.RecordSnapshot, a.recordSnapshot)
	activities.Register(registry, activities.Commit, a.commit)
	activities.Register(registry, activities.Finish, a.finish)
	activities.Register(registry, activities.ContainerEnds, a.containerEnds)
	activities.Register(registry, activities.RecordIncident, a.recordIncident)
	activities.Register(registry, activities.RecordEnds, a.recordEnds)
	activities.Register(registry, activities.PastOperations, a.pastOperations)
}

func (a *Activities) claim(ctx context.Context, in activities.ClaimIn) (activities.ClaimOut, error) {
	holder, err := a.Store.Claim(ctx, in.Operation, in.RunID)
	return activities.ClaimOut{Won: err == nil && holder == in.RunID, RunID: holder}, err
}

func (a *Activities) resolve(ctx context.Context, in activities.ResolveIn) (activities.ResolveOut, error) {
	var out activities.ResolveOut
	namespace, known := a.Namespaces[in.Job.Tenant]
	if !known {
		return out, failure.New(failure.NotFound, "tenant %s is not configured at this site", in.Job.Tenant).
			WithNext("add the tenant and its namespace to the worker's configuration")
	}
	found, err := a.Store.Job(ctx, in.Job)
	if err != nil {
		return out, err
	}
	if in.UID != "" && in.UID != found.UID {
		return out, failure.New(failure.NotFound, "job %s with uid %s does not exist; today's has uid %s", in.Job, in.UID, found.UID).
			WithNext("the job was deleted and made again: ask for the operation anew")
	}
	revision, err := a.revision(ctx, found, in)
	if err != nil {
		return out, err
	}
	profile, err := a.Store.Profile(ctx, in.Job.Tenant, first(in.Profile, found.State.Profile, job.OrdinaryProfile))
	if err != nil {
		return out, err
	}
	current, err := a.currentSpec(ctx, found)
	if err != nil {
		return out, err
	}
	ever, err := a.Store.EverSnapshot(ctx, found.UID)
	return activities.ResolveOut{
		CurrentSpec: current,
		Identity:    job.Identity{Ref: in.Job, UID: found.UID, Site: found.Site, Namespace: namespace, FS: a.FS},
		Revision:    job.Revision{Number: revision.Number, Digest: revision.Digest, Spec: revision.Spec},
		Profile:     profile.Body,
		Current: activities.Current{
			Revision: found.State.Revision, Digest: found.State.Digest, Profile: found.State.Profile, State: found.State.State, Epoch: found.State.Epoch, ProfileDigest: found.State.ProfileDigest,
			Applied: found.State.Applied,
		},
		EverSnapshot: ever,
		Newest:       found.Newest,
	}, err
}

// revision is the one that is meant: the one named; else the one in force, where
// it is asked for or a rollback withdrew all newer ones; else the newest.
func (a *Activities) revision(ctx context.Context, found store.Job, in activities.ResolveIn) (store.Revision, error) {
	inForce := found.State.Revision
	switch {
	case in.Current && inForce > 0:
		in.Revision = inForce
	case in.Revision != 0:
	case in.Before:
		return a.Store.Committed(ctx, found.UID, inForce)
	case inForce > 0 && found.Newest <= found.State.Withdrawn && !in.Newest:
		in.Revision = inForce
	}
	return a.Store.Revision(ctx, found.UID, in.Revision)
}

// currentSpec is that of the revision committed last; nil when none was.
func (a *Activities) currentSpec(ctx context.Context, found store.Job) (*job.Spec, error) {
	if found.State.Revision == 0 {
		return nil, nil
	}
	revision, err := a.Store.Revision(ctx, found.UID, found.State.Revision)
	return &revision.Spec, err
}

func (a *Activities) snapshots(ctx context.Context, in activities.SnapshotsIn) (activities.SnapshotsOut, error) {
	rows, err := a.Store.Snapshots(ctx, in.JobUID, false)
	out := activities.SnapshotsOut{Snapshots: make([]job.Snapshot, len(rows))}
	for i, row := range rows {
		out.Snapshots[i] = row.Domain()
	}
	return out, err
}

func (a *Activities) recordSnapshot(ctx context.Context, in activities.RecordSnapshotIn) (activities.None, error) {
	return activities.None{}, a.Store.RecordSnapshot(ctx, store.Snapshot{
		JobUID: in.JobUID, Path: in.Snapshot.Path, Epoch: in.Snapshot.Epoch, CheckpointID: in.Snapshot.CheckpointID,
		Kind: in.Snapshot.Kind, Operation: in.Snapshot.Operation, Revision: in.Revision, Engine: in.Engine.Name + " " + in.Engine.Version,
	})
}

func (a *Activities) commit(ctx context.Context, in activities.CommitIn) (activities.None, error) {
	return activities.None{}, a.Store.Commit(ctx, store.State{
		JobUID: in.JobUID, Revision: in.Revision, Profile: in.Profile, ProfileDigest: in.ProfileDigest, Applied: in.Applied, State: in.State,
		Epoch: in.Epoch, Generation: in.Generation, Operation: in.Operation, Withdrawn: in.Withdrawn,
	})
}

func (a *Activities) finish(ctx context.Context, in activities.FinishIn) (activities.None, error) {
	return activities.None{}, a.Store.Finish(ctx, in.Operation, in.Phase, in.Result)
}

func (a *Activities) containerEnds(ctx context.Context, in activities.ContainerEndsIn) (activities.ContainerEndsOut, error) {
	rows, err := a.Store.ContainerEnds(ctx, in.JobUID, in.Generation, in.ContainerIDs)
	if err == nil && len(rows) == 0 && in.After != nil {
		rows, err = a.Store.LaterEnds(ctx, in.JobUID, in.After.PodUID, in.After.Container, in.After.Number)
	}
	out := activities.ContainerEndsOut{Ends: make([]activities.ContainerEnd, len(rows))}
	for i, row := range rows {
		out.Ends[i] = activities.ContainerEnd{
			ContainerID: row.ContainerID, PodUID: row.PodUID, Pod: row.Pod, Role: row.Role, ExitCode: row.ExitCode, FinishedAt: row.FinishedAt,
			Source: row.Source,
		}
	}
	return out, err
}

func (a *Activities) recordEnds(ctx context.Context, in activities.DeclareIn) (activities.None, error) {
	for _, c := range in.Containers {
		err := a.Store.RecordContainerEnd(ctx, store.ContainerEnd{
			ContainerID: c.ContainerID, PodUID: c.PodUID, Pod: c.Pod, Namespace: in.Identity.Namespace, Container: c.Container, Attempt: c.Attempt,
			JobUID: in.Identity.UID, Generation: in.Generation, Role: c.Role, ExitCode: store.UnknownExit, FinishedAt: in.At, Source: in.Source,
		})
		if err != nil {
			return activities.None{}, err
		}
	}
	return activities.None{}, nil
}

func (a *Activities) recordIncident(ctx context.Context, in activities.RecordIncidentIn) (activities.None, error) {
	return activities.None{}, a.Store.RecordIncident(ctx, store.Incident{
		ID: in.Incident.ID, JobUID: in.Incident.UID, Generation: in.Incident.Generation, Epoch: in.Incident.Epoch, ContainerID: in.Incident.ContainerID,
		ExitCode: in.Incident.ExitCode, Reason: in.Incident.Reason, FinishedAt: in.Incident.FinishedAt, Operation: in.Operation,
		Kind: in.Incident.Kind, HeldBy: in.Incident.HeldBy,
	})
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
