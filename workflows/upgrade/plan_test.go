package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

func spec(artifact string) job.Spec {
	return job.Spec{Engine: job.Engine{Name: "flink", Version: "1.20.5"}, Artifact: artifact, EntryClass: "a.B"}
}

// runningFacts is a job whose generation 3 runs submission 5.
func runningFacts(request job.Request) upgrade.Facts {
	old := spec("sha256:old")
	profile := job.Profile{Name: "ordinary", Parallelism: 1}
	return upgrade.Facts{
		Request: request,
		Target: activities.ResolveOut{
			Identity:    job.Identity{Ref: job.Ref{Tenant: "shop", Name: "orders"}, UID: "U", Site: "dc1"},
			Revision:    job.Revision{Number: 2, Spec: spec("sha256:new")},
			Profile:     profile,
			Current:     activities.Current{Revision: 1, Profile: "ordinary", ProfileDigest: profile.Digest(), State: "running"},
			CurrentSpec: &old,
		},
		Lease: activities.ReadLeaseOut{Exists: true, State: lease.State{
			JobUID: "U", Generation: 3, Epoch: 5,
			Generations: []lease.Generation{{Number: 3, Standing: lease.Active}},
			Intent:      &lease.Intent{Epoch: 5, Generation: 3, FlinkJobID: "F5", Outcome: lease.Accepted},
		}},
		Agent: &agentapi.State{JobState: "RUNNING", FlinkJobID: "F5"},
	}
}

// stoppedFacts is a job whose submission 5 ended with outcome.
func stoppedFacts(request job.Request, outcome lease.Outcome) upgrade.Facts {
	f := runningFacts(request)
	f.Agent = nil
	f.Lease.State.Intent.Outcome = outcome
	f.Target.EverSnapshot = true
	return f
}

func TestDecideRefuses(t *testing.T) {
	start := job.Request{Kind: job.Start}
	cases := map[string]struct {
		facts upgrade.Facts
		code  failure.Code
	}{
		"start of a job whose last submission may live": {runningFacts(start), failure.Refused},
		"start of a job that had state, snapshot gone":  {stoppedFacts(start, lease.Finished), failure.Refused},
		"upgrade of a stopped job":                      {stoppedFacts(job.Request{Kind: job.Upgrade}, lease.Finished), failure.Refused},
		"stop of a stopped job": {func() upgrade.Facts {
			f := stoppedFacts(job.Request{Kind: job.Stop}, lease.Finished)
			f.Lease.State.Generations[0].Standing = lease.Retired
			return f
		}(), failure.Refused},
		"savepoint of a job that another submission runs": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Savepoint})
			f.Agent.FlinkJobID = "F4"
			return f
		}(), failure.Refused},
		"upgrade of a job that comes up": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Upgrade})
			f.Agent.JobState = "CREATED"
			return f
		}(), failure.Refused},
		"start of a job that ran, its Lease missing": {func() upgrade.Facts {
			f := stoppedFacts(start, lease.Finished)
			f.Lease = activities.ReadLeaseOut{}
			f.Target.EverSnapshot = false
			f.Directory.Empty = true
			return f
		}(), failure.Refused},
		"a hold that nobody has any more": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Upgrade})
			f.Lease.State.Hold = &lease.Hold{Operation: "gone"}
			return f
		}(), failure.Refused},
		"a Lease that was set back": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Upgrade})
			f.Target.Current.Epoch = 6
			return f
		}(), failure.Refused},
		"upgrade to what runs": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Upgrade})
			f.Target.Revision.Number = 1
			return f
		}(), failure.Conflict},
		"upgrade to what runs, behind a rollback": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Upgrade})
			f.Target.Revision.Number, f.Target.Newest = 1, 2
			return f
		}(), failure.Conflict},
		"rollback to a newer revision": {runningFacts(job.Request{Kind: job.Rollback, Revision: 2}), failure.Conflict},
		"rollback to what runs": {func() upgrade.Facts {
			f := runningFacts(job.Request{Kind: job.Rollback, Revision: 1})
			f.Target.Revision.Number = 1
			return f
		}(), failure.Conflict},
		"restart of a stopped job": {stoppedFacts(job.Request{Kind: job.Restart}, lease.Finished), failure.Refused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := upgrade.Decide(c.facts)
			require.Error(t, err)
			require.Equal(t, c.code, failure.CodeOf(err), err.Error())
			require.NotEmpty(t, failure.Of(err).Next, "every refusal says what to do")
		})
	}
}

func TestARestartNeedsNoChange(t *testing.T) {
	f := runningFacts(job.Request{Kind: job.Restart})
	f.Target.Revision = job.Revision{Number: 1, Spec: *f.Target.CurrentSpec}
	plan, err := upgrade.Decide(f)
	require.NoError(t, err)
	require.Empty(t, plan.Changes)
	require.Equal(t, job.Warm, plan.Strategy)
	require.Equal(t, 4, plan.To.Generation, "on a new generation")
}

func TestAnEditedProfileCanBeRolledOut(t *testing.T) {
	f := runningFacts(job.Request{Kind: job.Upgrade})
	f.Target.Revision.Number = 1
	f.Target.Profile.Parallelism = 4
	_, err := upgrade.Decide(f)
	require.NoError(t, err)
}

func TestDecideUpgradeShowsEveryChange(t *testing.T) {
	f := runningFacts(job.Request{Kind: job.Upgrade})
	f.Target.CurrentSpec.Options = map[string]string{"a": "1", "b": "2"}
	f.Target.Revision.Spec.Options = map[string]string{"b": "3", "c": "4"}
	plan, err := upgrade.Decide(f)
	require.NoError(t, err)
	require.Equal(t, []upgrade.Change{
		{Field: "artifact", From: "sha256:old", To: "sha256:new"},
		{Field: "options.a", From: "1"},
		{Field: "options.b", From: "2", To: "3"},
		{Field: "options.c", To: "4"},
	}, plan.Changes)
	require.Equal(t, 4, plan.To.Generation)
	require.EqualValues(t, 6, plan.To.Epoch)
	again, err := upgrade.Decide(f)
	require.NoError(t, err)
	require.Equal(t, plan.Digest, again.Digest)
}

// TestRestore: order is (epoch, id) within the lineage; nothing starts empty by
// accident.
func TestRestore(t *testing.T) {
	start := job.Request{Kind: job.Start}
	snapshot := func(epoch, id int64, path string) job.Snapshot {
		return job.Snapshot{Epoch: epoch, CheckpointID: id, Path: path}
	}
	cases := map[string]struct {
		change  func(*upgrade.Facts)
		outcome lease.Outcome
		want    string
		refused bool
	}{
		"the stop's savepoint": {outcome: lease.Finished, want: "s9", change: func(f *upgrade.Facts) {
			f.Snapshots = []job.Snapshot{snapshot(5, 7, "s7"), snapshot(5, 9, "s9"), snapshot(4, 90, "older epoch")}
		}},
		"a newer checkpoint on HDFS beats the ledger": {outcome: lease.Failed, want: "chk", change: func(f *upgrade.Facts) {
			f.Snapshots = []job.Snapshot{snapshot(5, 7, "s7")}
			f.Checkpoint = activities.FindSnapshotOut{Path: "chk", CheckpointID: 8}
		}},
		"nothing of its own: where it came from": {outcome: lease.Failed, want: "before", change: func(f *upgrade.Facts) {
			f.Lease.State.Intent.RestorePath = "before"
			f.Snapshots = []job.Snapshot{snapshot(4, 3, "before"), snapshot(3, 99, "abandoned")}
		}},
		"a job that ended by itself": {outcome: lease.Finished, refused: true, change: func(f *upgrade.Facts) {
			f.Lease.State.Ended = &lease.Ended{Epoch: 5, State: "FINISHED"}
			f.Snapshots = []job.Snapshot{snapshot(5, 7, "s7")}
		}},
		"finished without a snapshot isn't set back": {outcome: lease.Finished, refused: true, change: func(f *upgrade.Facts) {
			f.Lease.State.Intent.RestorePath = "before"
		}},
		"a file is left: not provably empty": {outcome: lease.Failed, refused: true, change: func(f *upgrade.Facts) {
			f.Target.EverSnapshot = false
			f.Directory = activities.JobDirectoryOut{Example: "x/_metadata"}
		}},
		"never had state": {outcome: lease.Failed, want: "", change: func(f *upgrade.Facts) {
			f.Target.EverSnapshot = false
			f.Directory.Empty = true
		}},
		"committed, and no checkpoint is left: it may have finished": {outcome: lease.Closed, refused: true, change: func(f *upgrade.Facts) {
			f.Target.Current.Epoch = 5
			f.Lease.State.Intent.RestorePath = "before"
			f.Snapshots = []job.Snapshot{snapshot(5, 7, "s7")}
		}},
		"the same, and it never had a snapshot": {outcome: lease.Closed, refused: true, change: func(f *upgrade.Facts) {
			f.Target.Current.Epoch = 5
			f.Target.EverSnapshot = false
			f.Directory.Empty = true
		}},
		"committed, and its checkpoint is there": {outcome: lease.Closed, want: "chk", change: func(f *upgrade.Facts) {
			f.Target.Current.Epoch = 5
			f.Checkpoint = activities.FindSnapshotOut{Path: "chk", CheckpointID: 8}
		}},
		"stateless is a word": {outcome: lease.Finished, want: "", change: func(f *upgrade.Facts) {
			f.Request.Stateless = true
			f.Snapshots = []job.Snapshot{snapshot(5, 7, "s7")}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := stoppedFacts(start, c.outcome)
			c.change(&f)
			got, err := upgrade.Restore(f)
			if c.refused {
				require.Equal(t, failure.Refused, failure.CodeOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Flink's pods wait for every dependency: one that isn't there must be known
// before any are made.
func TestDependenciesAreCheckedInThePlan(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Revision.Spec.Dependencies = []string{"sha256:connector", "sha256:format"}
	w.run()
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Equal(t, []string{w.facts.Target.Revision.Spec.Artifact, "sha256:connector", "sha256:format"}, w.checked)
}
