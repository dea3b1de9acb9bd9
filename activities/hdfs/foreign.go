package hdfs

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"sluice/activities"
	"sluice/internal/hdfs"
)

func (a *Activities) door(tenant string) hdfs.Door {
	return hdfs.Door{FS: a.site.FS, Roots: a.site.Roots[tenant]}
}

// InspectForeign looks at a snapshot that isn't the job's own.
func (a *Activities) InspectForeign(ctx context.Context, in activities.ForeignIn) (activities.ForeignOut, error) {
	found, err := a.client.InspectForeign(ctx, a.door(in.Tenant), in.Location)
	return a.foreign(found), err
}

// CopyForeign copies it into the job's own directory.
func (a *Activities) CopyForeign(ctx context.Context, in activities.ForeignIn) (activities.ForeignOut, error) {
	const mib = 1 << 20
	copied, err := a.client.CopyForeign(ctx, a.door(in.Tenant), in.Location, in.UID, in.Operation, func(done, all int64) {
		activity.RecordHeartbeat(ctx, fmt.Sprintf("%d of %d MiB copied", done/mib, all/mib))
	})
	return a.foreign(copied), err
}

// RemoveForeign removes a copy that was never used.
func (a *Activities) RemoveForeign(ctx context.Context, in activities.ForeignIn) (activities.None, error) {
	return activities.None{}, a.client.RemoveForeign(ctx, in.UID, in.Operation)
}

func (a *Activities) foreign(found hdfs.Foreign) activities.ForeignOut {
	return activities.ForeignOut{
		Path: a.site.FS + found.Directory, CheckpointID: found.CheckpointID, Version: found.Version, Files: len(found.Files), Bytes: found.Bytes,
	}
}
