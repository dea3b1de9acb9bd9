package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// A rollback is an upgrade to an older revision; what it says to the record
// store keeps a later start without a revision from going forward again.
func TestARollbackWithdrawsTheNewerRevisions(t *testing.T) {
	for kind, withdrawn := range map[job.Kind]int{job.Rollback: 5, job.Upgrade: 0, job.Restart: 0} {
		w := newWorld(t, job.Request{Kind: kind})
		w.facts.Target.Current.Revision, w.facts.Target.Newest = 4, 5
		var asked activities.ResolveIn
		on(w, activities.Resolve, func(in activities.ResolveIn) (activities.ResolveOut, error) {
			asked = in
			return w.facts.Target, nil
		})
		var committed activities.CommitIn
		on(w, activities.Commit, func(in activities.CommitIn) (activities.None, error) {
			committed = in
			return activities.None{}, nil
		})
		w.run()
		require.NoError(t, w.env.GetWorkflowError(), kind)
		require.Equal(t, withdrawn, committed.Withdrawn, kind)
		require.Equal(t, 2, committed.Revision)
		require.Equal(t, kind == job.Rollback, asked.Before, kind)
		require.Equal(t, kind == job.Restart, asked.Current, kind)
		require.Less(t, w.index(activities.PrepareCluster.Name), w.index(activities.StopJob.Name))
		require.Len(t, w.submits, 1)
	}
}

// A plan of a spec that isn't applied is of the revision behind the newest,
// whatever was withdrawn.
func TestAPlanOfASpecIsBehindTheNewest(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	var asked activities.ResolveIn
	on(w, activities.Resolve, func(in activities.ResolveIn) (activities.ResolveOut, error) {
		asked = in
		return w.facts.Target, nil
	})
	unapplied := spec("sha256:other")
	made, err := w.plans(t, "P", &unapplied)
	require.NoError(t, err)
	require.True(t, asked.Newest)
	require.Equal(t, &upgrade.Side{
		Revision: 3, Digest: unapplied.Digest(), Profile: "ordinary", Generation: 4, Epoch: 6, ProfileDigest: w.facts.Target.Profile.Digest(),
	}, made.To)
}
