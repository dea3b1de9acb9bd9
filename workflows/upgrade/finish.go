package upgrade

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// commit writes the new state, releases the hold and retires the old
// generation; Kubernetes removes it in the background.
func (r *run) commit(ctx workflow.Context) error {
	return r.settle(ctx, activities.CommitIn{
		Revision: r.target.Revision.Number, Profile: r.target.Profile.Name, ProfileDigest: r.target.Profile.Digest(), State: "running", Epoch: r.epoch, Generation: r.generation,
	})
}

func (r *run) commitStopped(ctx workflow.Context) error {
	return r.settle(ctx, activities.CommitIn{
		Revision: r.target.Current.Revision, Profile: r.target.Current.Profile, ProfileDigest: r.target.Current.ProfileDigest, State: "stopped", Epoch: r.state.Epoch, Generation: r.old,
	})
}

// commitEnded closes the operation of a job that ended by itself before it was
// committed: to submit it again would repeat what it published.
func (r *run) commitEnded(ctx workflow.Context) error {
	err := r.settle(ctx, activities.CommitIn{
		Revision: r.target.Revision.Number, Profile: r.target.Profile.Name, ProfileDigest: r.target.Profile.Digest(),
		State: "stopped", Epoch: r.epoch, Generation: r.generation,
	})
	if err != nil {
		return err
	}
	if err := r.remove(ctx, r.generation); err != nil {
		return err
	}
	return failure.New(failure.JobFailed, "the job ended by itself (%s) before it was proven", r.state.Ended.State).
		WithNext("nothing runs; to run it again from its beginning, start it stateless (admins only)")
}

func (r *run) settle(ctx workflow.Context, commit activities.CommitIn) error {
	r.undo.Forget()
	commit.JobUID, commit.Operation = r.target.Identity.UID, r.in.Operation
	return r.insist(ctx, func() error {
		return r.step(ctx, "commit", "the record store and the Lease", func() (string, error) {
			if _, err := flow.Do(ctx, job.FlowQueue, activities.Commit, commit, "commit revision "+fmt.Sprint(commit.Revision)+", "+commit.State); err != nil {
				return "", err
			}
			if r.old != 0 { // a stopped job's generation goes, an upgraded job's old one too
				if err := r.remove(ctx, r.old); err != nil {
					return "", err
				}
			}
			in := r.leaseIn()
			in.Profile = commit.Profile
			_, err := flow.Do(ctx, r.queue, activities.ReleaseHold, in, "release the hold")
			return commit.State, err
		})
	})
}
