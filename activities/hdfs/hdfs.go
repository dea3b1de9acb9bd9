// Package hdfs implements the HDFS activities over internal/hdfs: unpack, call,
// answer.
package hdfs

import (
	"context"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
)

// Activities of one site.
type Activities struct {
	client *hdfs.Client
	site   Site
}

// Site is what the configuration says of foreign snapshots.
type Site struct {
	FS    string              // hdfs://host:port
	Roots map[string][]string // by tenant
}

// New makes them; client is shared by the whole process.
func New(client *hdfs.Client, site Site) *Activities {
	return &Activities{client: client, site: site}
}

// Register registers every activity under its Def's name.
func (a *Activities) Register(registry activities.Registry) {
	activities.Register(registry, activities.CheckArtifacts, a.CheckArtifacts)
	activities.Register(registry, activities.MakeJobDirectories, a.MakeJobDirectories)
	activities.Register(registry, activities.InspectJobDirectory, a.InspectJobDirectory)
	activities.Register(registry, activities.VerifySnapshot, a.VerifySnapshot)
	activities.Register(registry, activities.FindSnapshot, a.FindSnapshot)
	activities.Register(registry, activities.ReadState, a.ReadState)
	activities.Register(registry, activities.InspectForeign, a.InspectForeign)
	activities.Register(registry, activities.CopyForeign, a.CopyForeign)
	activities.Register(registry, activities.RemoveForeign, a.RemoveForeign)
}

// CheckArtifacts proves that every artifact is there; failure.NotFound names the
// first that isn't.
func (a *Activities) CheckArtifacts(ctx context.Context, in activities.CheckArtifactsIn) (activities.None, error) {
	for _, digest := range in.Digests {
		if _, err := a.client.Stat(ctx, in.Tenant, digest); err != nil {
			if failure.CodeOf(err) == failure.NotFound {
				err = failure.Wrap(failure.NotFound, err, "the artifact %s of tenant %s is not on HDFS", digest, in.Tenant).
					WithNext("upload it: sluice artifact push")
			}
			return activities.None{}, err
		}
	}
	return activities.None{}, nil
}

// MakeJobDirectories makes a job's directories.
func (a *Activities) MakeJobDirectories(ctx context.Context, in activities.JobDirectoryIn) (activities.None, error) {
	return activities.None{}, a.client.MakeJobDirectories(ctx, in.UID)
}

// InspectJobDirectory looks for any snapshot below a job's directory.
func (a *Activities) InspectJobDirectory(ctx context.Context, in activities.JobDirectoryIn) (activities.JobDirectoryOut, error) {
	found, err := a.client.FindAnyMetadata(ctx, in.UID)
	return activities.JobDirectoryOut{Empty: err == nil && found == "", Example: found}, err
}

// VerifySnapshot reads a snapshot's _metadata and looks for the files that it names.
func (a *Activities) VerifySnapshot(ctx context.Context, in activities.VerifySnapshotIn) (activities.VerifySnapshotOut, error) {
	found, err := a.client.VerifyMetadata(ctx, in.Path)
	return activities.VerifySnapshotOut{MetadataBytes: found.Bytes, Version: found.Version, CheckpointID: found.CheckpointID}, err
}

// maxSavepoints bounds a payload.
const maxSavepoints = 100

// FindSnapshot gives the newest complete snapshot in a directory, in the
// spelling (hdfs://host:port) of the directory asked for.
func (a *Activities) FindSnapshot(ctx context.Context, in activities.FindSnapshotIn) (activities.FindSnapshotOut, error) {
	var out activities.FindSnapshotOut
	found, err := a.client.FindMetadata(ctx, in.Directory)
	switch failure.CodeOf(err) {
	case "":
		out.Path, out.CheckpointID = found.Location, found.CheckpointID
	case failure.NotFound:
	default:
		return out, err
	}
	if in.Savepoints == "" {
		return out, nil
	}
	made := make([]string, len(in.MadeBy))
	for i, id := range in.MadeBy {
		made[i] = job.MadeBy(id)
	}
	savepoints, err := a.client.FindSavepoints(ctx, in.Savepoints, made, maxSavepoints)
	for _, s := range savepoints {
		out.Savepoints = append(out.Savepoints, activities.FoundSnapshot{Path: s.Location, CheckpointID: s.CheckpointID})
	}
	return out, err
}
