package upgrade

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// A start may go on from a snapshot that isn't the job's own. It is copied into
// the job's directory first: nobody else can delete it there, and whoever looks
// for the job's state finds it. It is no link in the job's lineage: only the
// submission whose restore path it is goes on from it.

// copies says whether the operation goes on from a copy. A snapshot in the job's
// own directory is its own already.
func (r *run) copies() bool {
	_, chosen := own(r.target.Identity, r.in.Request.FromSnapshot)
	return r.in.Request.FromSnapshot != "" && !chosen
}

// foreignIn names the snapshot asked for and, by the operation's id, its copy.
func (r *run) foreignIn() activities.ForeignIn {
	return activities.ForeignIn{
		Tenant: r.target.Identity.Tenant, Location: r.in.Request.FromSnapshot, UID: r.target.Identity.UID, Operation: r.in.Operation,
	}
}

// inspectForeign looks at it before anything is made.
func (r *run) inspectForeign(ctx workflow.Context) (activities.ForeignOut, error) {
	in := activities.ForeignIn{Tenant: r.target.Identity.Tenant, Location: r.in.Request.FromSnapshot}
	found, err := flow.Do(ctx, r.queue, activities.InspectForeign, in, "is the snapshot complete, self-contained and allowed?")
	if err != nil {
		return found, foreignUnusable(r.in.Request.FromSnapshot, err)
	}
	return found, nil
}

func foreignUnusable(location string, err error) error {
	f := failure.Of(err)
	if f.Retryable() || f.Code == failure.Canceled {
		return f
	}
	why := failure.New(failure.Refused, "the snapshot to start from can't be taken over: %s", f.Message).With("snapshot", location)
	if f.Next != "" {
		return why.WithNext("%s", f.Next)
	}
	return why.WithNext("name the directory of a complete savepoint")
}

// foreignStory tells enough of it that a plan made of another one is another plan.
func foreignStory(f activities.ForeignOut) string {
	return fmt.Sprintf("a copy of %s (checkpoint %d, %d files, %d bytes)", f.Path, f.CheckpointID, f.Files, f.Bytes)
}

// copyForeign makes the copy while the new generation's pods start. Until the
// submission it is as if it had never been.
func (r *run) copyForeign(ctx workflow.Context) error {
	r.undo.Push("remove the copy of the snapshot", func(ctx workflow.Context) error {
		_, err := flow.Do(ctx, r.queue, activities.RemoveForeign, r.foreignIn(), "remove the copy of the snapshot: nothing was started from it")
		return err
	})
	return r.step(ctx, "copy", "HDFS", func() (string, error) {
		copied, err := flow.Do(ctx, r.queue, activities.CopyForeign, r.foreignIn(), "copy the snapshot into the job's own directory")
		if err != nil {
			return "", err
		}
		r.restore = copied.Path
		found, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: r.restore}, "verify the copy")
		if err != nil {
			return "", err
		}
		r.savepointID = found.CheckpointID
		return fmt.Sprintf("%d files, %d bytes", copied.Files, copied.Bytes), nil
	})
}

// recordForeign enters the copy into the ledger, as what the submission to come
// goes on from.
func (r *run) recordForeign(ctx workflow.Context) error {
	return r.step(ctx, "record", "the ledger", func() (string, error) {
		_, err := flow.Do(ctx, job.FlowQueue, activities.RecordSnapshot, activities.RecordSnapshotIn{
			JobUID: r.target.Identity.UID, Engine: r.target.Revision.Spec.Engine, Revision: r.target.Revision.Number,
			Snapshot: job.Snapshot{Epoch: r.epoch, CheckpointID: r.savepointID, Path: r.restore, Kind: job.Foreign, Operation: r.in.Operation},
		}, "enter the copy into the ledger")
		return r.restore, err
	})
}
