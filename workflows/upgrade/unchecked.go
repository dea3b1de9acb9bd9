package upgrade

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/workflows/internal/flow"
)

// An unchecked operation is a cold one for whose JobManager, too, there is no room
// beside the job (DESIGN §4.2). Its pods wait for the room that the stop frees, and
// what is checked before the stop elsewhere is checked behind it here. The old
// JobManager stays until that is done: where the new revision is refused, most of
// the way back stands. Then it has to go: what lacked the room for a JobManager
// before lacks it for the TaskManagers now.

// goUnchecked goes on with the pods of the new generation pending, where the
// request allows that.
func (r *run) goUnchecked(ctx workflow.Context, cause error) error {
	f := failure.Of(cause)
	if !r.in.Request.AllowUnchecked {
		return f.WithNext("%s; where the job may be stopped before anything of the new revision was checked: allowUnchecked", f.Next)
	}
	r.unchecked = true
	return r.step(ctx, "unchecked", "nothing", func() (string, error) {
		r.progress.Plan.Unchecked = "job graph, state and class loading of the new revision aren't checked before the stop: " + f.Details[failure.NoRoom]
		r.evidence("on unchecked: " + r.progress.Plan.Unchecked)
		return r.progress.Plan.Unchecked, nil
	})
}

// checkLate makes the new cluster complete, behind the stop and in the old one's
// place. Whatever fails here is to be rolled back.
func (r *run) checkLate(ctx workflow.Context) error {
	if err := r.lateJobManager(ctx); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	return r.lateWorkers(ctx)
}

func (r *run) lateJobManager(ctx workflow.Context) error {
	return r.step(ctx, "jobmanager", fmt.Sprintf("the JobManager of generation %d", r.generation), func() (string, error) {
		err := r.awaitRoom(ctx, r.generation, "client", "jobmanager")
		if !noRoom(err) {
			return "in the place of the old TaskManagers", err
		}
		if err := r.standDown(ctx); err != nil {
			return "", err
		}
		return "in the place of the whole old cluster", r.awaitRoom(ctx, r.generation, "client", "jobmanager")
	})
}

func (r *run) lateWorkers(ctx workflow.Context) error {
	return r.step(ctx, "workers", fmt.Sprintf("TaskManagers of generation %d", r.generation), func() (string, error) {
		if err := r.standDown(ctx); err != nil {
			return "", err
		}
		if _, err := flow.Do(ctx, r.queue, activities.ApplyGeneration, r.generationIn(true), fmt.Sprintf("make the TaskManagers of generation %d", r.generation)); err != nil {
			return "", err
		}
		return "in the place of the whole old cluster", r.awaitRoom(ctx, r.generation, "taskmanager")
	})
}

// standDown takes the old generation's pods away. Its submission is proven over,
// the Lease has moved: what remains is what a way back is made from.
func (r *run) standDown(ctx workflow.Context) error {
	if r.stoodDown {
		return nil
	}
	_, err := flow.Do(ctx, r.queue, activities.ScaleDownGeneration, activities.GenerationRef{Identity: r.target.Identity, Generation: r.old},
		fmt.Sprintf("take the pods of generation %d away: there is no room beside them", r.old))
	r.stoodDown = err == nil
	return err
}

// bringClusterBack gives the old generation its place again. The new one's agent
// isn't needed any more, nor need it ever have run: what was submitted to it, if
// anything, is proven over.
func (r *run) bringClusterBack(ctx workflow.Context) func(workflow.Context) error {
	down := flow.Go(ctx, r.queue, activities.ScaleDownGeneration, activities.GenerationRef{Identity: r.target.Identity, Generation: r.generation},
		fmt.Sprintf("take the pods of generation %d away", r.generation))
	up := flow.Go(ctx, r.queue, activities.RestoreGeneration, activities.GenerationRef{Identity: r.target.Identity, Generation: r.old},
		fmt.Sprintf("make the pods of generation %d again", r.old))
	return func(ctx workflow.Context) error {
		if _, err := down.Get(ctx); err != nil {
			return err
		}
		if _, err := up.Get(ctx); err != nil {
			return err
		}
		r.stoodDown = false
		over := r.wait(ctx, fmt.Sprintf("the pods of generation %d", r.old))
		defer over()
		return r.awaitRoom(ctx, r.old, "client", "jobmanager", "taskmanager")
	}
}
