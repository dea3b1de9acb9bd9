package upgrade

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// prepare makes the new generation and proves that it can take the job, before
// the old one is touched (DESIGN §4.3). Anything wrong here removes it again;
// the running job never notices.
func (r *run) prepare(ctx workflow.Context) error {
	r.enter(ctx, job.Preparing)
	r.undo.Push("remove the new generation", r.dropNew)
	if err := r.reserve(ctx); err != nil {
		return err
	}
	if err := r.apply(ctx); err != nil {
		return err
	}
	if r.copies() {
		if err := r.copyForeign(ctx); err != nil {
			return err
		}
	}
	return r.ready(ctx)
}

func (r *run) warm() bool {
	return !r.cold && (r.in.Request.Strategy != job.Cold || r.in.Request.Kind == job.Start)
}

func (r *run) leaseIn() activities.LeaseIn {
	return activities.LeaseIn{Identity: r.target.Identity, Operation: r.in.Operation}
}

func (r *run) reserve(ctx workflow.Context) error {
	return r.step(ctx, "reserve", "a generation number on the Lease", func() (string, error) {
		directories := flow.Go(ctx, r.queue, activities.MakeJobDirectories, activities.JobDirectoryIn{UID: r.target.Identity.UID}, "make the job's directories")
		in := r.leaseIn()
		in.MayCreate = !r.exists
		out, err := flow.Do(ctx, r.queue, activities.ReserveGeneration, in, "reserve a generation")
		if err != nil {
			return "", err
		}
		r.generation, r.state = out.Generation, out.State
		r.progress.Generation = out.Generation
		_, err = directories.Get(ctx)
		return fmt.Sprintf("generation %d", r.generation), err
	})
}

func (r *run) apply(ctx workflow.Context) error {
	return r.step(ctx, "apply", "the API server", func() (string, error) {
		out, err := flow.Do(ctx, r.queue, activities.ApplyGeneration, r.generationIn(r.warm()), fmt.Sprintf("apply generation %d", r.generation))
		return fmt.Sprintf("%d objects", len(out.Objects)), err
	})
}

func (r *run) generationIn(workers bool) activities.GenerationIn {
	return activities.GenerationIn{
		Identity: r.target.Identity, Operation: r.in.Operation, Generation: r.generation,
		Revision: r.target.Revision, Profile: r.target.Profile, Workers: workers,
	}
}

func (r *run) ready(ctx workflow.Context) error {
	if err := r.pods(ctx); err != nil || r.unchecked {
		return err
	}
	return r.check(ctx)
}

// check lets the new cluster's agent find out what can be known of the revision
// without a submission.
func (r *run) check(ctx workflow.Context) error {
	var out agentapi.PrepareOut
	waits := "slots, artifact, job graph and primer"
	prime := r.warm() && r.in.Request.Kind != job.Start // where nothing runs no pause gets shorter by it
	if !prime {
		waits = "slots, artifact and job graph"
	}
	err := r.step(ctx, "prepare", waits, func() (_ string, err error) {
		in := agentapi.PrepareIn{
			Spec: r.filled(r.target.Revision.Spec), Parallelism: r.target.Profile.Parallelism, Tenant: r.target.Identity.Tenant, Try: r.try,
			Operators: r.compares(ctx), Prime: prime,
		}
		if r.warm() {
			in.Slots = r.target.Profile.Slots()
		}
		out, err = flow.Do(ctx, r.queue, activities.PrepareCluster, r.command(r.generation, "prepare", agentapi.Command{Kind: agentapi.Prepare, Prepare: &in}),
			fmt.Sprintf("prepare generation %d", r.generation))
		r.progress.Plan.Vertices = out.Vertices
		return fmt.Sprintf("%d vertices, %d slots", len(out.Vertices), out.Registered), err
	})
	if err != nil {
		return err
	}
	return r.compare(ctx, out)
}

// command addresses an agent. The id carries the try: after retry the agent
// looks again instead of repeating its old answer.
func (r *run) command(generation int, step string, c agentapi.Command) activities.AgentIn {
	c.ID = fmt.Sprintf("%s-%s-%d", r.in.Operation, step, r.try)
	c.Operation = r.in.Operation
	c.Generation = generation
	r.spoke = generation
	c.Epoch = r.state.Epoch
	return activities.AgentIn{Identity: r.target.Identity, Generation: generation, Command: c}
}

// hold stops the agents from acting on their own; the running one acknowledges
// with nothing in flight.
func (r *run) hold(ctx workflow.Context) error {
	r.enter(ctx, job.Preparing)
	r.mayRelease()
	return r.step(ctx, "hold", "the hold on the Lease and its acknowledgement", func() (string, error) {
		in := r.leaseIn()
		in.Since, in.Released = workflow.Now(ctx).UTC().Format(time.RFC3339), r.state.Released
		state, err := flow.Do(ctx, r.queue, activities.PlaceHold, in, "hold the writer lease")
		if err != nil {
			return "", err
		}
		if state.Epoch != r.epoch-1 {
			return "", failure.New(failure.Refused, "the Lease is at epoch %d, the plan was made at %d", state.Epoch, r.epoch-1).WithNext("somebody else changed the job: start the operation anew")
		}
		r.state = state
		if r.old == 0 || r.in.Request.Kind == job.Start && !r.state.Uncommitted() { // else a dead operation's POST may be in flight
			return "no agent to acknowledge", nil
		}
		out, err := flow.Do(ctx, r.queue, activities.AcknowledgeHold, r.command(r.old, "acknowledge", agentapi.Command{Kind: agentapi.Acknowledge}),
			fmt.Sprintf("generation %d acknowledges", r.old))
		return "acknowledged by pod " + out.PodUID, err
	})
}

func (r *run) release(ctx workflow.Context) error {
	_, err := flow.Do(ctx, r.queue, activities.ReleaseHold, r.leaseIn(), "release the hold")
	return err
}

// dropNew removes the generation that this operation made, also when the
// reservation's answer was lost.
func (r *run) dropNew(ctx workflow.Context) error {
	if r.generation == 0 {
		out, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "read the Lease")
		if err != nil || !out.Exists {
			return err
		}
		for _, g := range out.State.Generations {
			if g.Operation == r.in.Operation {
				r.generation = g.Number
			}
		}
		if r.generation == 0 {
			return nil
		}
	}
	return r.remove(ctx, r.generation)
}

func (r *run) remove(ctx workflow.Context, generation int) error {
	_, err := flow.Do(ctx, r.queue, activities.RemoveGeneration, activities.GenerationRef{Identity: r.target.Identity, Generation: generation},
		fmt.Sprintf("retire and remove generation %d", generation))
	return err
}
