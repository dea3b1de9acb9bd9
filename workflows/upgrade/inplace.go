package upgrade

import (
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// strategy chooses how the job is changed, and says why (DESIGN §4.2). A rescale
// stays in place where it can; an upgrade only where it was asked to.
func strategy(f Facts) (job.Strategy, string, error) {
	asked := f.Request.Strategy
	if asked == job.Cold || asked == job.Warm {
		return asked, "asked for", nil
	}
	if asked != job.InPlace && f.Request.Kind != job.Rescale {
		return job.Warm, "", nil
	}
	obstacle := notInPlace(f)
	switch {
	case obstacle == "":
		return job.InPlace, "only parallelism and the number of TaskManagers change", nil
	case asked == job.InPlace:
		return "", "", failure.New(failure.Refused, "the job can't be changed in place: %s", obstacle).
			WithNext("leave the strategy out, or say warm: a new cluster is made, and the job is stopped for about a second")
	}
	return job.Warm, "not in place: " + obstacle, nil
}

// notInPlace says what keeps the running cluster from taking the change; "" when
// nothing does.
func notInPlace(f Facts) string {
	before, after := f.Target.Current.Applied, f.Target.Profile
	switch {
	case f.Heir && f.Lease.State.Hold != nil:
		return "an operation that was ended from outside may have left it in the middle of a rescale"
	case f.Target.Revision.Number != f.Target.Current.Revision:
		return "the revision changes too"
	case before == nil:
		return "what the running profile is was not recorded when it was committed"
	case f.Agent == nil || f.Agent.JobState != "RUNNING":
		return "the job is not RUNNING"
	case before.JobManager != after.JobManager:
		return "the JobManager's resources change"
	case before.TaskManager.Role != after.TaskManager.Role:
		return "the TaskManagers' resources change"
	case before.TaskManager.Slots != after.TaskManager.Slots:
		return "the slots of a TaskManager change"
	}
	return ""
}

func planInPlace(f Facts, plan *Plan) {
	before, after := f.Target.Current.Applied, f.Target.Profile
	plan.To.Generation, plan.To.Epoch = plan.From.Generation, plan.From.Epoch
	plan.Restore = "newest checkpoint, taken by this operation: Flink restarts the tasks from it"
	plan.Changes = []Change{
		{Field: "parallelism", From: strconv.Itoa(before.Parallelism), To: strconv.Itoa(after.Parallelism)},
		{Field: "taskManager.replicas", From: strconv.Itoa(before.TaskManager.Replicas), To: strconv.Itoa(after.TaskManager.Replicas)},
	}
	plan.Steps = []string{"hold", "checkpoint", "rescale", "prove", "commit"}
	switch more := after.TaskManager.Replicas - before.TaskManager.Replicas; {
	case more > 0:
		added := after
		added.TaskManager.Replicas = more
		plan.Delta = Delta{
			CPU: fmt.Sprintf("%dm", added.CPUMillis()-job.Profile{JobManager: added.JobManager}.CPUMillis()), MemoryMiB: more * after.TaskManager.MemoryMiB, Slots: more * after.TaskManager.Slots,
		}
		plan.Steps = append([]string{"hold", "add TaskManagers"}, plan.Steps[1:]...)
	case more < 0:
		plan.Steps = []string{"hold", "checkpoint", "rescale", "prove", "take TaskManagers away", "commit"}
	}
}

// mustFitGroups refuses a parallelism above the number of key groups, which can't
// be changed without losing state.
func mustFitGroups(f Facts) error {
	const option = "pipeline.max-parallelism"
	groups, _ := strconv.Atoi(f.Target.Revision.Spec.Options[option]) // what isn't a number Flink refuses
	if groups < 1 || f.Target.Profile.Parallelism <= groups {
		return nil
	}
	return failure.New(failure.Refused, "profile %q has parallelism %d, above the job's %s of %d", f.Target.Profile.Name, f.Target.Profile.Parallelism, option, groups).
		WithNext("choose a profile with less parallelism; more key groups cost the job its keyed state")
}

// inPlace changes the parallelism of what runs, on its own cluster. Until Flink
// is told, and also after it, the way back is to bring the old size back: the
// undo stack has it.
func (r *run) inPlace(ctx workflow.Context) error {
	before, after := *r.target.Current.Applied, r.target.Profile
	if err := r.hold(ctx); err != nil {
		return err
	}
	r.progress.Generation = r.old
	if err := r.readTargets(ctx, after); err != nil {
		return err
	}
	if after.TaskManager.Replicas > before.TaskManager.Replicas {
		r.undo.Push("take the added TaskManagers away", func(ctx workflow.Context) error { return r.takeAdded(ctx, before, after) })
		if err := r.addWorkers(ctx, after); err != nil {
			return err
		}
	}
	ctx, err := r.pointOfNoReturn(ctx)
	if err != nil {
		return err
	}
	ctx = flow.BoundSilence(ctx)
	r.epoch, r.restore = r.state.Epoch, r.state.Intent.RestorePath
	r.side = side{r.old, r.target.Revision, after.Parallelism, false}
	if err := r.resize(ctx, before, after); err != nil {
		if err := r.resizeFailed(ctx, err); err != nil {
			return err
		}
		if r.ended() {
			return r.commitItEnded(ctx, failure.New(failure.JobFailed, "the job ended by itself (%s) while it was rescaled", r.state.Ended.State))
		}
	}
	r.undo.Forget()
	if after.TaskManager.Replicas < before.TaskManager.Replicas {
		if err := r.fewerWorkers(ctx, before, after); err != nil {
			return err
		}
		if r.ended() {
			return r.commitItEnded(ctx, failure.New(failure.JobFailed, "the job ended by itself (%s) while it was rescaled", r.state.Ended.State))
		}
	}
	return r.commitInPlace(ctx)
}

// readTargets asks, before anything is changed, at what each vertex runs and at
// what it would run: the undo brings back what was, not what it reckons. The
// version keeps operations that began before there was this look as they are.
func (r *run) readTargets(ctx workflow.Context, after job.Profile) error {
	if workflow.GetVersion(ctx, "in-place-targets", workflow.DefaultVersion, 1) < 1 {
		return nil
	}
	return r.step(ctx, "vertices", fmt.Sprintf("the job graph at parallelism %d", after.Parallelism), func() (string, error) {
		in := agentapi.TargetsIn{
			FlinkJobID: r.state.Intent.FlinkJobID, Spec: r.filled(r.target.Revision.Spec), Parallelism: after.Parallelism, Tenant: r.target.Identity.Tenant,
		}
		out, err := flow.Do(ctx, r.queue, activities.ReadTargets, r.command(r.old, "targets", agentapi.Command{Kind: agentapi.Targets, Targets: &in}),
			"which vertices follow the profile?")
		if failure.CodeOf(err) == failure.Outdated {
			return "", failure.Of(err).WithNext("%s; or rescale with --strategy warm, which makes a new cluster with this release's agent", failure.Of(err).Next)
		}
		if err != nil {
			return "", err
		}
		r.targets = &out
		return fmt.Sprintf("%d of %d vertices change", out.Changed, len(out.After)), nil
	})
}

func (r *run) addWorkers(ctx workflow.Context, after job.Profile) error {
	return r.step(ctx, "workers", fmt.Sprintf("%d TaskManagers", after.TaskManager.Replicas), func() (string, error) {
		if err := r.workers(ctx, after, nil); err != nil {
			return "", err
		}
		_, err := flow.Do(ctx, r.queue, activities.AwaitGeneration, activities.AwaitGenerationIn{
			Identity: r.target.Identity, Generation: r.old, Roles: []string{"taskmanager"},
		}, "wait for the added TaskManagers")
		if noRoom(err) {
			err = failure.Of(err).WithNext("make room (kubectl -n %s get pods; nodes; quota), or name a profile with fewer TaskManagers; no other strategy needs less room than in place", r.target.Identity.Namespace)
		}
		return fmt.Sprintf("%d TaskManagers", after.TaskManager.Replicas), err
	})
}

// takeAdded undoes addWorkers. Kubernetes would choose by age and by how crowded a
// node is: those without a task are named. Where that can't be told, or there are
// fewer, the job may restart, and is looked at.
func (r *run) takeAdded(ctx workflow.Context, before, after job.Profile) error {
	if r.targets == nil { // it began before this was asked
		return r.workers(ctx, before, nil)
	}
	count := after.TaskManager.Replicas - before.TaskManager.Replicas
	spare, err := r.idleWorkers(ctx, "spare-added", count)
	if err != nil {
		r.evidence("which of the TaskManagers have no task can't be told: " + failure.Of(err).Message)
	}
	if err := r.workers(ctx, before, spare); err != nil || len(spare) == count {
		return err
	}
	if err := r.runsStill(ctx); err != nil { // the undo goes on: only released can the job be mended
		r.evidence("the job isn't seen to run after the added TaskManagers were taken away: " + failure.Of(err).Message)
	}
	return nil
}

// idleWorkers names TaskManagers without a task, count of them if there are.
func (r *run) idleWorkers(ctx workflow.Context, name string, count int) ([]string, error) {
	ctx, cancel := within(ctx, undoPatience)
	defer cancel()
	in := agentapi.SpareIn{Count: count}
	out, err := flow.Do(ctx, r.queue, activities.SpareWorkers, r.command(r.old, name, agentapi.Command{Kind: agentapi.Spare, Spare: &in}),
		"which TaskManagers have no task?")
	return out.Pods, err
}

// runsStill waits until TaskManagers that go are gone, and the Lease's submission runs.
func (r *run) runsStill(ctx workflow.Context) error {
	intent := r.state.Intent
	if intent == nil || intent.Outcome.Over() {
		return nil
	}
	ctx, cancel := within(ctx, undoPatience)
	defer cancel()
	_, err := flow.Do(ctx, r.queue, activities.AwaitGeneration, activities.AwaitGenerationIn{
		Identity: r.target.Identity, Generation: r.old, Roles: []string{"taskmanager"}, Settled: true,
	}, "wait until the added TaskManagers are gone")
	if err != nil {
		return err
	}
	in := agentapi.AwaitIn{FlinkJobID: intent.FlinkJobID, RestorePath: intent.RestorePath}
	_, err = flow.Do(ctx, r.queue, activities.AwaitRunning, r.command(r.old, "await-added-gone", agentapi.Command{Kind: agentapi.Await, Await: &in}),
		"does the job still run?")
	return err
}

// undoPatience is how long an undo asks an agent for what it can do without.
const undoPatience = 2 * time.Minute

// within gives a context that is canceled after a while.
func within(ctx workflow.Context, limit time.Duration) (workflow.Context, workflow.CancelFunc) {
	ctx, cancel := workflow.WithCancel(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		if workflow.Sleep(ctx, limit) == nil {
			cancel()
		}
	})
	return ctx, cancel
}

func (r *run) workers(ctx workflow.Context, profile job.Profile, spare []string) error {
	_, err := flow.Do(ctx, r.queue, activities.ScaleWorkers, activities.WorkersIn{
		Identity: r.target.Identity, Generation: r.old, Replicas: profile.TaskManager.Replicas, Spare: spare,
	}, fmt.Sprintf("generation %d gets %d TaskManagers", r.old, profile.TaskManager.Replicas))
	return err
}

// resize takes a checkpoint, so that nothing but what follows it is computed
// again, and changes the parallelism.
func (r *run) resize(ctx workflow.Context, before, after job.Profile) error {
	r.enter(ctx, job.Submitting)
	if err := r.checkpoint(ctx, "before", "a checkpoint to go on from"); err != nil {
		return err
	}
	r.undo.Push("bring the former parallelism back", func(ctx workflow.Context) error { return r.sizeBack(ctx, before, after) })
	_, targets := r.sizes()
	sent, err := r.tellSize(ctx, "rescale", before, after, targets)
	if err != nil {
		return err
	}
	r.stoppedAt = sent
	return r.whileItStands(ctx, func(ctx workflow.Context) error {
		since, err := r.running(ctx)
		if err != nil {
			return err
		}
		// Known now; below 0 are only the clocks of two nodes.
		r.stoppedAt, r.progress.DowntimeMS = 0, max(r.progress.DowntimeMS, 0)
		r.enter(ctx, job.Proving)
		return r.gate(ctx, since)
	})
}

// sizes are the vertices' parallelisms before the operation and after it; nil where
// its history is older than they are.
func (r *run) sizes() (before, after map[string]int) {
	if r.targets == nil {
		return nil, nil
	}
	return r.targets.Before, r.targets.After
}

// tellSize notes the size on the Lease and then tells Flink, unless it has nothing
// to change there: then nothing is sent.
func (r *run) tellSize(ctx workflow.Context, name string, from, to job.Profile, targets map[string]int) (sentAt int64, err error) {
	return sentAt, r.step(ctx, name, fmt.Sprintf("Flink takes parallelism %d", to.Parallelism), func() (string, error) {
		if err := r.noteSize(ctx, to); err != nil {
			return "", err
		}
		if r.targets != nil && r.targets.Changed == 0 {
			return "the vertices stay as they are", nil
		}
		id := r.state.Intent.FlinkJobID
		in := agentapi.RescaleIn{FlinkJobID: id, From: from.Parallelism, To: to.Parallelism, Slots: to.Parallelism, Targets: targets}
		out, err := flow.Do(ctx, r.queue, activities.RescaleJob, r.command(r.old, name, agentapi.Command{Kind: agentapi.Rescale, Rescale: &in}),
			fmt.Sprintf("parallelism %d becomes %d", from.Parallelism, to.Parallelism))
		sentAt = out.SentAt
		return fmt.Sprintf("parallelism %d becomes %d", from.Parallelism, to.Parallelism), err
	})
}

// noteSize writes onto the Lease at which size every later submission to this
// generation runs.
func (r *run) noteSize(ctx workflow.Context, to job.Profile) error {
	state, err := flow.Do(ctx, r.queue, activities.NoteSize, activities.NoteSizeIn{
		Identity: r.target.Identity, Operation: r.in.Operation,
		Size: lease.Size{Generation: r.old, FlinkJobID: r.state.Intent.FlinkJobID, Profile: to.Name, Parallelism: to.Parallelism},
	}, fmt.Sprintf("note parallelism %d on the Lease", to.Parallelism))
	if err == nil {
		r.state = state
	}
	return err
}

// sizeBack undoes a rescale. A job that is lost meanwhile is submitted again at its
// old size; the record has to know of that submission.
func (r *run) sizeBack(ctx workflow.Context, before, after job.Profile) error {
	r.enter(ctx, job.RollingBack)
	over, err := r.overOrThere(ctx)
	if err != nil {
		return err
	}
	if over {
		return r.backByAnother(ctx, before)
	}
	targets, _ := r.sizes()
	if _, err := r.tellSize(ctx, "size-back", after, before, targets); err != nil {
		return err
	}
	in := agentapi.AwaitIn{FlinkJobID: r.flinkJobID(), RestorePath: r.restore}
	_, err = flow.Do(ctx, r.queue, activities.AwaitRunning, r.command(r.old, "await-size-back", agentapi.Command{Kind: agentapi.Await, Await: &in}),
		"wait until it runs at the former parallelism")
	return err
}

func (r *run) backByAnother(ctx workflow.Context, before job.Profile) error {
	if !r.ended() {
		if err := r.another(ctx, before); err != nil {
			if r.settling { // a person gave up: the job is at rest, and that is on record
				return nil
			}
			return err
		}
	}
	state := "running"
	if r.ended() {
		state = "stopped"
	}
	commit := r.current(state, r.epoch)
	commit.JobUID, commit.Operation = r.target.Identity.UID, r.in.Operation
	_, err := flow.Do(ctx, job.FlowQueue, activities.Commit, commit, "write that the job runs at its former size")
	return err
}

// another submits the job again that is proven over, at a size.
func (r *run) another(ctx workflow.Context, size job.Profile) error {
	r.side.parallelism = size.Parallelism
	if err := r.insist(ctx, func() error { return r.noteSize(ctx, size) }); err != nil {
		return err
	}
	return r.submitAndProve(ctx, true)
}

// resizeFailed looks at what is left after a failed change. A job that is there
// gets its old size back: the failure is returned. One that is proven over is
// submitted again, at the new size, which is on the Lease: nil when it runs.
func (r *run) resizeFailed(ctx workflow.Context, cause error) error {
	over := false
	err := r.insist(ctx, func() (err error) {
		over, err = r.overOrThere(ctx)
		return err
	})
	if err != nil || !over {
		return orElse(err, cause)
	}
	r.evidence("the job was lost while it was rescaled: " + failure.Of(cause).Error())
	r.undo.Forget()
	if r.ended() {
		return nil
	}
	return r.another(ctx, r.target.Profile)
}

// fewerWorkers takes TaskManagers away. A job that is lost by that, or meanwhile, is
// submitted again: its size is the new one already.
func (r *run) fewerWorkers(ctx workflow.Context, before, after job.Profile) error {
	lost := false
	err := r.insist(ctx, func() error {
		err := r.whileItStands(ctx, func(ctx workflow.Context) error { return r.dropWorkers(ctx, before, after) })
		if err == nil {
			return nil
		}
		over, lookErr := r.overOrThere(ctx)
		if lookErr != nil || !over {
			return orElse(lookErr, err)
		}
		lost = true
		r.evidence("the job was lost while TaskManagers were taken away: " + failure.Of(err).Error())
		return nil
	})
	if err != nil || !lost || r.ended() {
		return err
	}
	// Not within insist: who gives up there has decided.
	if err := r.another(ctx, after); err != nil || r.ended() {
		return err
	}
	return r.insist(ctx, func() error { return r.workers(ctx, after, nil) })
}

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// overOrThere says whether the submission is proven over (true) or still there
// (false); what is neither, after a while, is an error.
func (r *run) overOrThere(ctx workflow.Context) (over bool, err error) {
	err = r.step(ctx, "look", "the job, or the proof of its end", func() (string, error) {
		err := patiently(ctx, func() (err error) {
			over, err = r.lookOnce(ctx)
			return err
		})
		if err == nil && over {
			return fmt.Sprintf("submission %d: %s", r.epoch, r.state.Intent.Outcome), nil
		}
		return "the job is there", err
	})
	return over, err
}

func (r *run) lookOnce(ctx workflow.Context) (over bool, err error) {
	read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease")
	if err != nil {
		return false, err
	}
	r.state = read.State
	if r.state.Intent.Outcome.Over() {
		return true, nil
	}
	if err := r.proveOver(ctx, r.state.Intent); err != nil || r.state.Intent.Outcome.Over() {
		return err == nil, err
	}
	now, err := flow.Do(ctx, r.queue, activities.AgentState, r.command(r.old, "state", agentapi.Command{}), "is the job there?")
	if err != nil {
		return false, err
	}
	if now.FlinkJobID != r.flinkJobID() || now.JobState == "" || now.JobState == "UNKNOWN" {
		return false, failure.New(failure.Unproven, "the job is not there, and its end isn't proven (Flink says %q)", now.JobState)
	}
	if outcome := lease.Outcome(now.JobState); outcome.Over() && (now.Idle || outcome == lease.Finished) {
		return true, r.note(ctx, r.epoch, outcome, "note that the submission ended "+now.JobState)
	}
	return false, nil
}

// dropWorkers takes the TaskManagers away that have no task any more. Where tasks
// keep too many busy the job restarts once more, from the gate's checkpoint.
func (r *run) dropWorkers(ctx workflow.Context, before, after job.Profile) error {
	count := before.TaskManager.Replicas - after.TaskManager.Replicas
	err := r.step(ctx, "workers", fmt.Sprintf("%d TaskManagers without a task", count), func() (string, error) {
		in := agentapi.SpareIn{Count: count}
		spare, err := flow.Do(ctx, r.queue, activities.SpareWorkers, r.command(r.old, "spare", agentapi.Command{Kind: agentapi.Spare, Spare: &in}),
			"which TaskManagers have no task?")
		if err != nil {
			return "", err
		}
		if busy := count - len(spare.Pods); busy > 0 {
			r.evidence(fmt.Sprintf("%d of the TaskManagers that go still had tasks: these restarted from the last checkpoint", busy))
		}
		if r.stoppedAt == 0 {
			r.stoppedAt = workflow.Now(ctx).UnixMilli() // until it is known whether the job took notice
		}
		if err := r.workers(ctx, after, spare.Pods); err != nil {
			return "", err
		}
		_, err = flow.Do(ctx, r.queue, activities.AwaitGeneration, activities.AwaitGenerationIn{
			Identity: r.target.Identity, Generation: r.old, Roles: []string{"taskmanager"}, Settled: true,
		}, "wait until the TaskManagers that go are gone: RUNNING before that says nothing")
		return fmt.Sprintf("%d TaskManagers stay", after.TaskManager.Replicas), err
	})
	if err != nil {
		return err
	}
	return r.runsOnFewer(ctx)
}

// runsOnFewer adds the downtime of the restart, if there was one: what ran before
// the TaskManagers went never stopped.
func (r *run) runsOnFewer(ctx workflow.Context) error {
	before := r.progress.DowntimeMS
	if _, err := r.runningAfter(ctx, "fewer"); err != nil {
		return err
	}
	r.stoppedAt = 0
	r.progress.DowntimeMS = before + max(r.progress.DowntimeMS, 0)
	return nil
}

func (r *run) commitInPlace(ctx workflow.Context) error {
	return r.settle(ctx, activities.CommitIn{
		Revision: r.target.Revision.Number, Profile: r.target.Profile.Name, ProfileDigest: r.target.Profile.Digest(), Applied: &r.target.Profile,
		State: "running", Epoch: r.epoch, Generation: r.old,
	})
}
