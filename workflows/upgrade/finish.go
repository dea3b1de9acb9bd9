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
	commit := activities.CommitIn{
		Revision: r.target.Revision.Number, Profile: r.target.Profile.Name, ProfileDigest: r.target.Profile.Digest(), Applied: &r.target.Profile, State: "running", Epoch: r.epoch, Generation: r.generation,
	}
	if r.in.Request.Kind == job.Rollback {
		commit.Withdrawn = r.target.Newest
	}
	return r.settle(ctx, commit, r.old)
}

// commitBack is the end of a rollback: the old revision runs again.
func (r *run) commitBack(ctx workflow.Context) error {
	return r.settle(ctx, r.current("running", r.epoch), r.generation)
}

// commitGivenUp leaves the job stopped, by a person's word. The epoch is the last
// of which a checkpoint was proven: a start asks for one of that.
func (r *run) commitGivenUp(ctx workflow.Context) error {
	return r.settle(ctx, r.current("stopped", max(r.target.Current.Epoch, r.checkpointed)), r.generation, r.old)
}

// current is the state of what ran when the operation began.
func (r *run) current(state string, epoch int64) activities.CommitIn {
	return activities.CommitIn{
		Revision: r.target.Current.Revision, Profile: r.target.Current.Profile, ProfileDigest: r.target.Current.ProfileDigest, Applied: r.target.Current.Applied,
		State: state, Epoch: epoch, Generation: r.old,
	}
}

func (r *run) commitStopped(ctx workflow.Context) error {
	return r.settle(ctx, r.current("stopped", r.state.Epoch), r.old)
}

// commitItEnded closes an operation whose job had ended by itself when it was to
// be stopped: nothing is started.
func (r *run) commitItEnded(ctx workflow.Context, why *failure.Error) error {
	r.progress.TransactionsExpireAt = "" // a job that ended by itself committed them
	if err := r.settle(ctx, r.current("stopped", r.state.Epoch), r.generation, r.old); err != nil {
		return err
	}
	return why
}

// commitEnded closes the operation of a job that ended by itself before it was
// committed: to submit it again would repeat what it published.
func (r *run) commitEnded(ctx workflow.Context) error {
	r.progress.TransactionsExpireAt = "" // as above
	commit := activities.CommitIn{
		Revision: r.target.Revision.Number, Profile: r.target.Profile.Name, ProfileDigest: r.target.Profile.Digest(), Applied: &r.target.Profile,
		State: "stopped", Epoch: r.epoch, Generation: r.generation,
	}
	if r.side.generation != r.generation { // the old revision's, that had come back
		commit = r.current("stopped", r.epoch)
	}
	err := r.settle(ctx, commit, r.old, r.generation)
	if err != nil {
		return err
	}
	return failure.New(failure.JobFailed, "the job ended by itself (%s) before it was proven", r.state.Ended.State).
		WithNext("nothing runs; to run it again from its beginning, start it stateless (admins only)")
}

// settle writes what the operation came to, removes the generations that aren't
// needed any more and gives the Lease free.
func (r *run) settle(ctx workflow.Context, commit activities.CommitIn, retire ...int) error {
	r.undo.Forget()
	r.settling = true
	commit.JobUID, commit.Operation = r.target.Identity.UID, r.in.Operation
	return r.insist(ctx, func() error {
		return r.step(ctx, "commit", "the record store and the Lease", func() (string, error) {
			if err := r.entered(ctx); err != nil {
				return "", err
			}
			if _, err := flow.Do(ctx, job.FlowQueue, activities.Commit, commit, "commit revision "+fmt.Sprint(commit.Revision)+", "+commit.State); err != nil {
				return "", err
			}
			for _, generation := range retire {
				if generation == 0 {
					continue
				}
				if err := r.remove(ctx, generation); err != nil {
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
