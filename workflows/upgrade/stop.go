package upgrade

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// verdict is what a row of the stop table says (DESIGN §4).
type verdict int

const (
	goOn   verdict = iota // complete, FINISHED
	runsOn                // none, running: release, remove, report
	mustAsk
)

// judge reads the stop table. Rows other than the first and the fourth stop
// and ask.
func judge(out agentapi.StopOut) (verdict, *failure.Error) {
	switch {
	case out.Savepoint != "" && out.JobState == string(lease.Finished):
		return goOn, nil
	case out.Savepoint == "" && out.JobState == "RUNNING":
		return runsOn, failure.New(failure.JobFailed, "the savepoint failed and the job runs on: %s", out.Cause).
			WithNext("the job was not touched; mend the cause, then upgrade again")
	}
	return mustAsk, failure.New(failure.Unproven, "the stop ended with savepoint %q and the job %s: %s", out.Savepoint, out.JobState, out.Cause)
}

// stop ends the old job with a savepoint and makes that the restore path.
func (r *run) stop(ctx workflow.Context) error {
	r.enter(ctx, job.Stopping)
	savepoint, err := r.stopWithSavepoint(ctx)
	if err != nil {
		return err
	}
	r.restore = savepoint
	return r.insist(ctx, func() error { return r.verify(ctx, savepoint) })
}

func (r *run) stopWithSavepoint(ctx workflow.Context) (string, error) {
	var savepoint string
	const try = 1 // of the savepoint: its trigger id and directory stay the same over every retry
	in := agentapi.StopIn{
		FlinkJobID: r.state.Intent.FlinkJobID,
		TriggerID:  job.TriggerID(r.in.Operation, "stop", try),
		Directory:  r.target.Identity.FS + job.SavepointDirectory(r.target.Identity.UID, r.in.Operation, "stop", try),
		Format:     r.format(),
	}
	r.stoppedAt = workflow.Now(ctx).UnixMilli()
	err := r.insist(ctx, func() error {
		var why *failure.Error
		err := r.step(ctx, "stop", "the savepoint, then the job's end", func() (string, error) {
			out, err := flow.Do(ctx, r.queue, activities.StopJob, r.command(r.old, "stop", agentapi.Command{Kind: agentapi.Stop, Stop: &in}),
				fmt.Sprintf("stop generation %d with a savepoint", r.old))
			if err != nil {
				return "", err
			}
			var v verdict
			if v, why = judge(out); v == mustAsk {
				return "", why
			} else if v == runsOn {
				return "", errNotStopped
			}
			savepoint = out.Savepoint
			return fmt.Sprintf("savepoint %d ms, job finished after %d ms", out.SavepointMS, out.TerminalMS), nil
		})
		if err == errNotStopped { //nolint:errorlint // our own sentinel
			r.evidence(why.Error())
			r.progress.Failure = why
		}
		return err
	})
	if err == errNotStopped { //nolint:errorlint // our own sentinel
		return "", r.progress.Failure // the undo stack releases the hold and removes the new generation
	}
	if err == nil {
		r.undo.Forget()
	}
	return savepoint, err
}

// format is NATIVE unless the engine changes.
func (r *run) format() string {
	if r.target.CurrentSpec != nil && r.target.CurrentSpec.Engine != r.target.Revision.Spec.Engine {
		return "CANONICAL"
	}
	return "NATIVE"
}

// verify proves the snapshot on HDFS and enters it into the ledger.
func (r *run) verify(ctx workflow.Context, path string) error {
	return r.step(ctx, "verify", "HDFS and the ledger", func() (string, error) {
		out, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: path}, "verify the savepoint's _metadata")
		if err != nil {
			return "", err
		}
		r.progress.Savepoint = path
		_, err = flow.Do(ctx, job.FlowQueue, activities.RecordSnapshot, activities.RecordSnapshotIn{
			JobUID:   r.target.Identity.UID,
			Engine:   r.runningSpec().Engine,
			Revision: r.target.Current.Revision,
			Snapshot: job.Snapshot{Epoch: r.state.Epoch, CheckpointID: out.CheckpointID, Path: path, Kind: "savepoint", Operation: r.in.Operation},
		}, "enter the savepoint into the ledger")
		return fmt.Sprintf("%d bytes of metadata", out.MetadataBytes), err
	})
}

func (r *run) runningSpec() job.Spec {
	if r.target.CurrentSpec != nil {
		return *r.target.CurrentSpec
	}
	return r.target.Revision.Spec
}

// stopForGood is the operation "stop".
func (r *run) stopForGood(ctx workflow.Context) error {
	if err := r.stop(ctx); err != nil {
		return err
	}
	return r.commitStopped(ctx)
}

// savepoint is the operation "savepoint": the job runs on.
func (r *run) savepoint(ctx workflow.Context) error {
	in := agentapi.StopIn{
		FlinkJobID: r.state.Intent.FlinkJobID,
		TriggerID:  job.TriggerID(r.in.Operation, "savepoint", 1),
		Directory:  r.target.Identity.FS + job.SavepointDirectory(r.target.Identity.UID, r.in.Operation, "savepoint", 1),
		Format:     "NATIVE",
	}
	r.enter(ctx, job.Preparing)
	var path string
	err := r.step(ctx, "savepoint", "the savepoint", func() (string, error) {
		out, err := flow.Do(ctx, r.queue, activities.TakeSavepoint, r.command(r.old, "savepoint", agentapi.Command{Kind: agentapi.Savepoint, Savepoint: &in}),
			"take a savepoint; the job runs on")
		if err == nil && out.Savepoint == "" {
			err = failure.New(failure.JobFailed, "the savepoint failed: %s", out.Cause)
		}
		path = out.Savepoint
		return fmt.Sprintf("%d ms", out.SavepointMS), err
	})
	if err == nil && r.canceled {
		err = failure.New(failure.Canceled, "canceled when the savepoint was complete already")
	}
	// Whatever the answer was: a complete savepoint is the newest of its lineage
	// and must be in the ledger, or a later start would go behind it.
	r.forward()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if path == "" {
		found, findErr := flow.Do(ctx, r.queue, activities.FindSnapshot, activities.FindSnapshotIn{Directory: in.Directory}, "is there a savepoint all the same?")
		if findErr != nil {
			return findErr
		}
		if found.Path == "" {
			return err
		}
		path = found.Path
	}
	if verifyErr := r.verify(ctx, path); verifyErr != nil {
		return verifyErr
	}
	return err
}
