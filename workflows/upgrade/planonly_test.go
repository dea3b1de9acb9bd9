package upgrade_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// looks are the only activities that a plan may call.
var looks = []string{
	activities.Resolve.Name, activities.Snapshots.Name, activities.ContainerEnds.Name, activities.ReadLease.Name, activities.AgentState.Name,
	activities.CheckArtifacts.Name, activities.InspectJobDirectory.Name, activities.FindSnapshot.Name, activities.VerifySnapshot.Name,
	activities.PastOperations.Name, activities.LookAtQuota.Name,
}

// plans runs the flow that only plans in the world, and proves that it changed
// nothing there.
func (w *world) plans(t *testing.T, plan string, spec *job.Spec) (upgrade.Plan, error) {
	t.Helper()
	before := w.state
	w.env.ExecuteWorkflow(upgrade.PlanName, upgrade.PlanInput{Plan: plan, Job: w.facts.Target.Identity.Ref, UID: "U", Request: w.facts.Request, Spec: spec})
	for _, call := range w.calls {
		require.True(t, slices.Contains(looks, call), "%s is no look", call)
	}
	require.Equal(t, before, w.state, "a plan changed the Lease")
	var made upgrade.Plan
	if err := w.env.GetWorkflowError(); err != nil {
		return made, ontemporal.Failure(err)
	}
	require.NoError(t, w.env.GetWorkflowResult(&made))
	return made, nil
}

func TestAPlanIsWhatTheOperationDecides(t *testing.T) {
	for name, arrange := range map[string]func(*world){
		"upgrade": func(w *world) { w.facts.Request.Kind = job.Upgrade },
		"stop":    func(w *world) { w.facts.Request.Kind = job.Stop },
		"restart": func(w *world) { w.facts.Request.Kind = job.Restart },
		"start": func(w *world) {
			w.facts = stoppedFacts(job.Request{Kind: job.Start}, lease.Finished)
			w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 9, Path: "s9"}}
			w.state = w.facts.Lease.State
		},
		"start, the end is seen only now": func(w *world) {
			w.facts.Request.Kind = job.Start
			w.facts.Agent.JobState, w.facts.Agent.Idle = "FAILED", true
			w.facts.Checkpoint = activities.FindSnapshotOut{Path: "c8", CheckpointID: 8}
		},
		"start, the end is proven only now": func(w *world) {
			w.facts.Request.Kind = job.Start
			w.facts.Agent.JobState, w.facts.Agent.Idle = "", true
			w.ends = []activities.ContainerEnd{{ContainerID: "c"}}
			w.facts.Checkpoint = activities.FindSnapshotOut{Path: "c8", CheckpointID: 8}
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newWorld(t, job.Request{}), newWorld(t, job.Request{})
			arrange(first)
			arrange(second)
			planned, err := first.plans(t, "P1", nil)
			require.NoError(t, err)
			require.NotEmpty(t, planned.Steps)
			again, err := func() (upgrade.Plan, error) {
				w := newWorld(t, job.Request{})
				arrange(w)
				w.facts.Request.Reason, w.facts.Request.PlanDigest = "said later", planned.Digest
				return w.plans(t, "P2", nil)
			}()
			require.NoError(t, err)
			require.Equal(t, planned, again, "the same facts, the same plan, whoever asks")
			second.facts.Request.PlanDigest = planned.Digest
			second.run()
			require.NoError(t, second.env.GetWorkflowError())
			decided := second.progress(t).Plan
			decided.Vertices, decided.State = nil, nil // known after the preparation
			require.Equal(t, planned, *decided)
		})
	}
}

func TestAStalePlanIsRefusedBeforeAnyEffect(t *testing.T) {
	old := newWorld(t, job.Request{Kind: job.Upgrade})
	seen, err := old.plans(t, "P", nil)
	require.NoError(t, err)

	w := newWorld(t, job.Request{Kind: job.Upgrade, PlanDigest: seen.Digest})
	w.facts.Target.Revision.Number = 3 // somebody applied another one
	w.run()
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Equal(t, failure.Conflict, p.Failure.Code)
	require.Contains(t, p.Failure.Message, seen.Digest)
	require.Contains(t, p.Failure.Message, p.Plan.Digest)
	require.NotEqual(t, seen.Digest, p.Plan.Digest)
	require.NotEmpty(t, p.Failure.Next)
	own := []string{activities.Claim.Name, activities.Finish.Name} // of the operation's own row
	for _, call := range w.calls {
		require.True(t, slices.Contains(looks, call) || slices.Contains(own, call), "%s was called for a stale plan", call)
	}
	require.Equal(t, old.state, w.state)
}

func TestWhatAPlanIsMadeOfIsInItsDigest(t *testing.T) {
	base, err := upgrade.Decide(runningFacts(job.Request{Kind: job.Upgrade}))
	require.NoError(t, err)
	for name, change := range map[string]func(*upgrade.Facts){
		"the revision":              func(f *upgrade.Facts) { f.Target.Revision.Digest = "sha256:x" },
		"the profile's size":        func(f *upgrade.Facts) { f.Target.Profile.Parallelism = 4 },
		"the profile that runs":     func(f *upgrade.Facts) { f.Target.Current.ProfileDigest = "sha256:x" },
		"the strategy":              func(f *upgrade.Facts) { f.Request.Strategy = job.Cold },
		"what runs":                 func(f *upgrade.Facts) { f.Lease.State.Epoch, f.Lease.State.Intent.Epoch = 6, 6 },
		"the generation to be made": func(f *upgrade.Facts) { f.Lease.State.Generation = 7 },
	} {
		f := runningFacts(job.Request{Kind: job.Upgrade})
		change(&f)
		other, err := upgrade.Decide(f)
		require.NoError(t, err, name)
		require.NotEqual(t, base.Digest, other.Digest, name)
	}
	for name, change := range map[string]func(*upgrade.Facts){
		"who asks":             func(f *upgrade.Facts) { f.Operation = "another" },
		"why":                  func(f *upgrade.Facts) { f.Request.Reason = "because" },
		"how long it soaks":    func(f *upgrade.Facts) { soak := 1; f.Request.SoakSeconds = &soak },
		"the digest asked for": func(f *upgrade.Facts) { f.Request.PlanDigest = base.Digest },
		"the agent's slots":    func(f *upgrade.Facts) { f.Agent.SlotsFree = 3 },
	} {
		f := runningFacts(job.Request{Kind: job.Upgrade})
		change(&f)
		same, err := upgrade.Decide(f)
		require.NoError(t, err, name)
		require.Equal(t, base.Digest, same.Digest, name)
	}
}

func TestAPlanIsBoundToTheProfilesContent(t *testing.T) {
	for name, arrange := range map[string]func(*upgrade.Facts){
		"another profile": func(f *upgrade.Facts) { f.Target.Profile.Name = "big" },
		"the first start": func(f *upgrade.Facts) {
			f.Request.Kind, f.Directory.Empty = job.Start, true
			f.Lease, f.Agent, f.Target.Current = activities.ReadLeaseOut{}, nil, activities.Current{State: "new"}
		},
	} {
		seen, edited := runningFacts(job.Request{Kind: job.Upgrade}), runningFacts(job.Request{Kind: job.Upgrade})
		arrange(&seen)
		arrange(&edited)
		edited.Target.Profile.Parallelism = 4
		a, err := upgrade.Decide(seen)
		require.NoError(t, err, name)
		b, err := upgrade.Decide(edited)
		require.NoError(t, err, name)
		require.NotEqual(t, a.Digest, b.Digest, name)
	}
}

func TestAnotherProfileIsAChange(t *testing.T) {
	f := runningFacts(job.Request{Kind: job.Upgrade})
	f.Target.Profile.Name = "big"
	plan, err := upgrade.Decide(f)
	require.NoError(t, err)
	require.Contains(t, plan.Changes, upgrade.Change{Field: "profile", From: "ordinary", To: "big"})
	f = runningFacts(job.Request{Kind: job.Upgrade})
	f.Target.Profile.Parallelism = 4
	plan, err = upgrade.Decide(f)
	require.NoError(t, err)
	require.Contains(t, plan.Changes, upgrade.Change{Field: "profile.ordinary", From: f.Target.Current.ProfileDigest, To: f.Target.Profile.Digest()})
}

// What is planned before it is applied is what an operation finds after it.
func TestAnUnappliedRevisionIsPlannedAsIfItWereApplied(t *testing.T) {
	unapplied := spec("sha256:newer")
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Revision.Digest = w.facts.Target.Revision.Spec.Digest()
	planned, err := w.plans(t, "P", &unapplied)
	require.NoError(t, err)
	require.Equal(t, 3, planned.To.Revision)
	require.Equal(t, unapplied.Digest(), planned.To.Digest)
	require.Equal(t, []upgrade.Change{{Field: "artifact", From: "sha256:old", To: "sha256:newer"}}, planned.Changes)

	applied := runningFacts(job.Request{Kind: job.Upgrade, PlanDigest: planned.Digest})
	applied.Target.Revision = job.Revision{Number: 3, Digest: unapplied.Digest(), Spec: unapplied}
	decided, err := upgrade.Decide(applied)
	require.NoError(t, err)
	require.Equal(t, planned.Digest, decided.Digest)

	w = newWorld(t, job.Request{Kind: job.Upgrade})
	newest := w.facts.Target.Revision.Spec
	w.facts.Target.Revision.Digest = newest.Digest()
	planned, err = w.plans(t, "P", &newest)
	require.NoError(t, err)
	require.Equal(t, 2, planned.To.Revision, "the newest already")
}

func TestAPlanRefusesAsTheOperationWould(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Start})
	_, err := w.plans(t, "P", nil)
	require.Equal(t, failure.Refused, failure.CodeOf(err), "it runs")

	w = newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Agent = &agentapi.State{JobState: "CREATED", FlinkJobID: "F5"}
	_, err = w.plans(t, "P", nil)
	require.Error(t, err)
	require.NotEmpty(t, failure.Of(err).Next)

	w = newWorld(t, job.Request{Kind: job.Upgrade})
	w.state.Hold = &lease.Hold{Operation: "01OTHER"}
	_, err = w.plans(t, "P", nil)
	require.Equal(t, failure.Busy, failure.CodeOf(err))
	require.Equal(t, "01OTHER", failure.Of(err).Details["operation"])

	w = newWorld(t, job.Request{Kind: job.Upgrade, PlanDigest: "sha256:stale"})
	_, err = w.plans(t, "P", nil)
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
}
