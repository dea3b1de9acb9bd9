package upgrade

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// Facts is all that a plan is decided from.
type Facts struct {
	Operation  string
	Request    job.Request
	Target     activities.ResolveOut
	Lease      activities.ReadLeaseOut
	Agent      *agentapi.State // nil when no generation is active
	Snapshots  []job.Snapshot  // of the ledger, newest first
	Checkpoint activities.FindSnapshotOut
	Directory  activities.JobDirectoryOut
	Foreign    activities.ForeignOut      // where the request names one
	Kafka      *activities.KafkaLimitsOut // nil: the revision names no Kafka
	Heir       bool                       // whoever else holds the Lease is dead: the asker has the job's lock
	Left       *job.Snapshot              // savepoint of the dead one's stop; nil: none
	Past       *activities.PastOut        // nil: nobody asked
	Quota      activities.QuotaOut        // of an operation that makes a new generation
}

// plan gathers the facts, decides and keeps the decision. It has no effects.
func (r *run) plan(ctx workflow.Context) error {
	r.enter(ctx, job.Planning)
	return r.step(ctx, "plan", "record store, Lease, HDFS and the running job", func() (string, error) {
		plan, err := r.decide(ctx)
		if err != nil {
			return "", err
		}
		return plan.Restore + ", plan " + plan.Digest[:19], nil
	})
}

// decide is what a plan and an operation have in common.
func (r *run) decide(ctx workflow.Context) (Plan, error) {
	facts, err := r.gather(ctx)
	if err != nil {
		return Plan{}, err
	}
	if err := r.notHeld(); err != nil {
		return Plan{}, err
	}
	plan, err := Decide(facts)
	if err != nil {
		return Plan{}, err
	}
	r.progress.Plan = &plan
	if !r.copies() { // else it is the copy's
		r.restore = plan.RestorePath
	}
	if err := stale(r.in.Request.PlanDigest, plan); err != nil {
		return plan, err
	}
	if err := r.acceptedWithoutSavepoint(plan); err != nil {
		return plan, err
	}
	if plan.NoSavepoint && plan.Kind != job.Stop && knowsFirst(ctx) {
		if _, err := r.knownCheckpoint(ctx); err != nil {
			return plan, err
		}
	}
	if err := r.verifyKept(ctx, plan); err != nil {
		return plan, err
	}
	if r.restore != "" {
		// The moment of use is near: a snapshot that is gone must be known before anything is made.
		found, err := flow.Do(ctx, r.queue, activities.VerifySnapshot, activities.VerifySnapshotIn{Path: r.restore}, "verify the snapshot to start from")
		if err != nil {
			return plan, snapshotUnusable(facts, r.restore, err)
		}
		if err := mustReadFormat(r.target.Revision.Spec.Engine, r.restore, found.Version); err != nil {
			return plan, err
		}
	}
	return plan, nil
}

func (r *run) gather(ctx workflow.Context) (Facts, error) {
	facts := Facts{Operation: r.in.Operation, Request: r.in.Request}
	var err error
	facts.Target, err = flow.Do(ctx, job.FlowQueue, activities.Resolve, activities.ResolveIn{
		Job: r.in.Job, UID: r.in.UID, Revision: r.in.Request.Revision, Profile: r.in.Request.Profile,
		Current: !r.in.Request.Kind.ChoosesRevision(), Before: r.in.Request.Kind == job.Rollback, Newest: r.only != nil && r.only.Spec != nil,
	}, "read job, revision and profile")
	if err != nil {
		return facts, err
	}
	facts.Target = r.unapplied(facts.Target)
	r.target = facts.Target
	r.queue = job.SiteQueue(r.target.Identity.Site)
	r.progress.Revision, r.progress.Profile = r.target.Revision.Number, r.target.Profile.Name
	if r.after == nil { // else the run is another operation's still
		if err := workflow.UpsertTypedSearchAttributes(ctx, AttributeRevision.ValueSet(int64(r.target.Revision.Number))); err != nil {
			return facts, err
		}
	}
	if r.copies() {
		if facts.Foreign, err = r.inspectForeign(ctx); err != nil {
			return facts, err
		}
	}
	snapshots := flow.Go(ctx, job.FlowQueue, activities.Snapshots, activities.SnapshotsIn{JobUID: r.target.Identity.UID}, "read the ledger")
	checked := activities.CheckArtifactsIn{Tenant: r.target.Identity.Tenant}
	if r.changes() { // what runs on is in its pods already
		checked.Digests = r.target.Revision.Spec.Artifacts()
	}
	artifacts := flow.Go(ctx, r.queue, activities.CheckArtifacts, checked, "the artifacts are on HDFS")
	directory := flow.Go(ctx, r.queue, activities.InspectJobDirectory, activities.JobDirectoryIn{UID: r.target.Identity.UID}, "is the job's directory empty?")
	limits := r.askKafka(ctx)
	if facts.Lease, err = flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease"); err != nil {
		return facts, err
	}
	if r.after != nil {
		r.after.presume(&facts)
	}
	r.state, r.exists = facts.Lease.State, facts.Lease.Exists
	r.old = r.state.ActiveGeneration()
	r.epoch = r.state.Epoch + 1
	r.heir = r.inherits()
	facts.Heir = r.heir
	foreseen := r.foresee(ctx)
	if err := r.look(ctx, &facts); err != nil {
		return facts, err
	}
	facts.Left = r.legacy
	if _, err := artifacts.Get(ctx); err != nil {
		return facts, err
	}
	if names := r.target.Revision.Spec.SecretNames(); r.changes() && len(names) > 0 {
		checked := activities.SecretsIn{Identity: r.target.Identity, Names: names}
		if _, err := flow.Do(ctx, r.queue, activities.CheckSecrets, checked, "the Secrets that the revision names exist"); err != nil {
			return facts, err
		}
	}
	if facts.Directory, err = directory.Get(ctx); err != nil {
		return facts, err
	}
	if facts.Kafka, err = limits(); err != nil {
		return facts, err
	}
	if err := foreseen(&facts); err != nil {
		return facts, err
	}
	ledger, err := snapshots.Get(ctx)
	facts.Snapshots = append(facts.Snapshots, ledger.Snapshots...)
	return facts, err
}

// look asks the running generation's agent, and HDFS for checkpoints that the
// ledger doesn't know.
func (r *run) look(ctx workflow.Context, facts *Facts) error {
	intent := r.state.Intent
	over := intent == nil || intent.Outcome.Over()
	if over {
		if err := r.lookLeft(ctx); err != nil {
			return err
		}
	}
	if r.old != 0 && (r.in.Request.Kind != job.Start || !over) { // a start behind a proven end asks nobody
		state, err := flow.Do(ctx, r.queue, activities.AgentState, r.command(r.old, "state", agentapi.Command{}), "what runs now?")
		if err != nil {
			return err
		}
		facts.Agent = &state
		r.ran = state.Vertices
		// FAILED and CANCELED are said of a lost TaskManager's job too.
		settled := lease.Outcome(state.JobState) == lease.Finished || lease.Outcome(state.JobState).Over() && state.Idle
		if intent != nil && !intent.Outcome.Over() && settled && state.FlinkJobID == intent.FlinkJobID {
			if err := r.lookLeft(ctx); err != nil {
				return err
			}
			if err := r.note(ctx, intent.Epoch, lease.Outcome(state.JobState), "note that the submission ended "+state.JobState); err != nil {
				return err
			}
			facts.Lease.State = r.state
		}
		if r.in.Request.Kind == job.Start && !over {
			if err := r.proveOver(ctx, intent); err != nil {
				return err
			}
			if r.state.Intent.Outcome.Over() {
				if err := r.lookLeft(ctx); err != nil {
					return err
				}
			}
			facts.Lease.State = r.state
		}
	}
	if intent == nil || r.in.Request.Kind != job.Start {
		return r.lookAtRest(ctx, facts)
	}
	var err error
	facts.Checkpoint, err = flow.Do(ctx, r.queue, activities.FindSnapshot, r.lineageIn(intent), "the newest checkpoint of the last submission, and the savepoints of its lineage")
	return err
}

// changes says whether the operation makes a new submission.
func (r *run) changes() bool { return r.in.Request.Kind.Submits() }

// Decide makes the plan, or says why there is none. It is pure.
func Decide(f Facts) (Plan, error) {
	plan := Plan{Kind: f.Request.Kind, From: from(f)}
	if err := mustTrustLease(f); err != nil {
		return Plan{}, err
	}
	var err error
	switch f.Request.Kind {
	case job.Start:
		err = planStart(f, &plan)
	case job.Upgrade, job.Restart, job.Rollback, job.Rescale:
		err = planUpgrade(f, &plan)
	case job.Stop:
		err = planStop(f, &plan)
	case job.Savepoint:
		err = mustRun(f)
		plan.Restore = "savepoint taken by this operation"
		plan.Steps = []string{"savepoint", "verify"}
	default:
		err = failure.New(failure.Invalid, "kind %q is not known", f.Request.Kind)
	}
	if err != nil {
		return Plan{}, err
	}
	if plan.Transactions, err = transactions(f); err != nil {
		return Plan{}, err
	}
	if err := mustFitQuota(f, plan); err != nil {
		return Plan{}, err
	}
	plan.Predicted = predict(f, plan)
	if plan.To != nil && plan.Strategy != job.InPlace {
		plan.Quota = f.Quota.Rooms
		plan.Changes = append(plan.Changes, resized(f.Target)...)
	}
	plan.Digest = digest(plan)
	return plan, nil
}

// mustTrustLease: a Lease that is missing or behind for a job that ran says
// nothing about who writes. Making it anew would forget every epoch.
func mustTrustLease(f Facts) error {
	const next = "find out whether a copy of the job runs; the Lease is mended by hand until there is repair"
	switch {
	case !f.Lease.Exists && f.Target.Current.Revision != 0:
		return failure.New(failure.Refused, "the writer lease of a job that ran before is missing").WithNext(next)
	case f.Lease.State.Epoch < f.Target.Current.Epoch:
		return failure.New(failure.Refused, "the writer lease is at epoch %d, but epoch %d was committed: it was set back", f.Lease.State.Epoch, f.Target.Current.Epoch).WithNext(next)
	case f.Lease.State.Hold != nil && f.Lease.State.Hold.Operation != f.Operation:
		return mustInherit(f)
	}
	return nil
}

func planStart(f Facts, plan *Plan) error {
	intent := f.Lease.State.Intent
	if intent != nil && !intent.Outcome.Over() {
		running := "its state can't be read"
		if f.Agent != nil && f.Agent.JobState != "" {
			running = "Flink says " + f.Agent.JobState
		}
		return failure.New(failure.Refused, "submission %d of generation %d is not proven over (%s): a start could make a second copy", intent.Epoch, intent.Generation, running).
			WithNext("to change a running job: sluice op upgrade")
	}
	if err := planRestore(f, plan); err != nil {
		return err
	}
	plan.To = to(f)
	plan.Strategy = job.Warm
	plan.Changes = changes(f.Target.CurrentSpec, f.Target.Revision.Spec)
	plan.Delta = delta(f.Target.Profile)
	plan.Steps = []string{"reserve a generation", "apply", "prepare", "hold", "move the lease", "submit", "prove", "commit"}
	if f.Foreign.Path != "" {
		plan.Steps = slices.Insert(plan.Steps, 2, "copy the snapshot")
	}
	return nil
}

// planRestore says from what a start goes on.
func planRestore(f Facts, plan *Plan) error {
	if f.Foreign.Path != "" {
		plan.RestorePath, plan.Restore = f.Foreign.Path, foreignStory(f.Foreign)
		return mustReadFormat(f.Target.Revision.Spec.Engine, f.Foreign.Path, f.Foreign.Version)
	}
	if chosen, ok := own(f.Target.Identity, f.Request.FromSnapshot); ok {
		planChosen(f, chosen, plan)
		return nil
	}
	path, err := Restore(f)
	if err != nil {
		return err
	}
	if err := mustReadSnapshot(f, path); err != nil {
		return err
	}
	plan.RestorePath, plan.Restore = path, path
	if path == "" {
		plan.Restore = "stateless"
	}
	return nil
}

func planUpgrade(f Facts, plan *Plan) error {
	restarting := crashes(f)
	if err := mustRun(f); err != nil && !restarting {
		return err
	}
	if err := mustChange(f); err != nil {
		return err
	}
	if err := mustReadState(f); err != nil {
		return err
	}
	if err := mustFitGroups(f); err != nil {
		return err
	}
	plan.To = to(f)
	var err error
	if plan.Strategy, plan.Why, err = strategy(f); err != nil {
		return err
	}
	if plan.Strategy == job.InPlace {
		planInPlace(f, plan)
		return nil
	}
	plan.Restore = "savepoint taken by this operation"
	if restarting {
		plan.NoSavepoint, plan.Restore = true, "newest checkpoint when the job has ended: it restarts or has failed, no savepoint would succeed"
	}
	plan.Changes = changes(f.Target.CurrentSpec, f.Target.Revision.Spec)
	plan.Delta = delta(f.Target.Profile)
	plan.Steps = []string{"reserve a generation", "apply", "prepare", "hold", "stop with savepoint", "verify", "move the lease", "submit", "prove", "commit", "retire the old generation"}
	return nil
}

// mustChange: what is asked for is not what there is. A restart is a change by
// itself.
func mustChange(f Facts) error {
	number, current := f.Target.Revision.Number, f.Target.Current
	switch {
	case f.Request.Kind == job.Rollback && number >= current.Revision:
		return failure.New(failure.Conflict, "revision %d is not older than revision %d, which runs", number, current.Revision).
			WithNext("name an older revision; to go to a newer one: sluice op upgrade --revision %d", number)
	case f.Request.Kind != job.Upgrade && f.Request.Kind != job.Rescale || number != current.Revision || current.Profile != f.Target.Profile.Name || current.ProfileDigest != f.Target.Profile.Digest():
		return nil
	}
	why := failure.New(failure.Conflict, "revision %d with profile %q is what runs already", number, current.Profile)
	if f.Request.Kind == job.Rescale {
		return why.WithNext("name another profile, or change this one first; to run the same anew: sluice op restart")
	}
	if f.Target.Newest > number && f.Request.Revision == 0 {
		return why.WithNext("a rollback withdrew the newer revisions up to %d: name one (--revision %d), or apply a change", f.Target.Newest, f.Target.Newest)
	}
	return why.WithNext("apply a change first (sluice apply -f), or name another revision or profile; to run the same anew: sluice op restart")
}

// acceptedWithoutSavepoint: whoever accepts a plan (by its digest) in which no
// savepoint is tried, or says withoutSavepoint, allows it. Nobody else is
// surprised by it.
func (r *run) acceptedWithoutSavepoint(plan Plan) error {
	if !plan.NoSavepoint || r.only != nil || r.in.Request.PlanDigest != "" || r.in.Request.WithoutSavepoint || r.in.Request.Stateless {
		return nil
	}
	return failure.New(failure.Refused, "the job doesn't run: no savepoint would succeed, and nobody has allowed to do with its newest checkpoint").
		WithNext("look at the plan and accept it (sluice plan, then --plan-digest %s), or say --without-savepoint", plan.Digest)
}

// crashes says whether the job is there, but in a state in which no savepoint of
// it would succeed.
func crashes(f Facts) bool {
	intent := f.Lease.State.Intent
	return intent != nil && f.Agent != nil && f.Agent.FlinkJobID == intent.FlinkJobID &&
		(f.Agent.JobState == "RESTARTING" || f.Agent.JobState == "FAILING" || f.Agent.JobState == string(lease.Failed))
}

func mustRun(f Facts) error {
	intent := f.Lease.State.Intent
	switch {
	case !f.Lease.Exists || intent == nil || f.Agent == nil:
		return failure.New(failure.Refused, "the job doesn't run").WithNext("sluice op start")
	case f.Agent.JobState == "RUNNING" && f.Agent.FlinkJobID == intent.FlinkJobID:
		return nil
	case intent.Outcome.Over():
		return failure.New(failure.Refused, "the job doesn't run: its last submission ended %s", intent.Outcome).WithNext("sluice op start")
	case f.Agent.JobState == "":
		return failure.New(failure.Refused, "the JobManager doesn't know the job any more: it was lost with the one before").
			WithNext("sluice op start %s proves that nothing of it runs, and goes on from its newest checkpoint", f.Target.Identity.Name)
	}
	return failure.New(failure.Refused, "Flink says %q of the job, not RUNNING: no savepoint would succeed", f.Agent.JobState).
		WithNext("wait until it runs, then try again; a job that crash-loops is upgraded from its newest checkpoint, or stopped with it (sluice op stop %s --without-savepoint)", f.Target.Identity.Name)
}

func from(f Facts) *Side {
	if f.Target.Current.Revision == 0 {
		return nil
	}
	return &Side{
		Revision: f.Target.Current.Revision, Digest: f.Target.Current.Digest, Profile: f.Target.Current.Profile,
		Generation: f.Lease.State.ActiveGeneration(), Epoch: f.Lease.State.Epoch,
		ProfileDigest: f.Target.Current.ProfileDigest,
	}
}

func to(f Facts) *Side {
	return &Side{
		Revision: f.Target.Revision.Number, Digest: f.Target.Revision.Digest, Profile: f.Target.Profile.Name,
		Generation: f.Lease.State.Generation + 1, Epoch: f.Lease.State.Epoch + 1,
		ProfileDigest: f.Target.Profile.Digest(),
	}
}

func delta(p job.Profile) Delta {
	return Delta{
		CPU:       fmt.Sprintf("%dm", p.CPUMillis()),
		MemoryMiB: p.JobManager.MemoryMiB + p.TaskManager.Replicas*p.TaskManager.MemoryMiB,
		Slots:     p.Slots(),
	}
}

// changes lists what differs between two specs, field by field.
func changes(old *job.Spec, new job.Spec) []Change {
	if old == nil {
		return nil
	}
	return job.Changes(*old, new)
}

func digest(p Plan) string {
	p.Digest, p.Keeps, p.Unchecked, p.Vertices, p.State = "", "", "", nil, nil // a job goes on making checkpoints
	p.Predicted, p.Quota = nil, nil                                            // they change by themselves
	data, err := json.Marshal(p)
	if err != nil { // only plain data
		panic(err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
