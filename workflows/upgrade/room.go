package upgrade

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/workflows/internal/flow"
)

// What doesn't fit beside the running job is seen before that is touched: the
// operation fails, or goes on cold, or even unchecked, where the request allows it.
// What doesn't fit behind the stop brings the old revision back.

// pods waits for the pods of the new generation.
func (r *run) pods(ctx workflow.Context) error {
	roles := []string{"client", "jobmanager"}
	if r.warm() {
		roles = append(roles, "taskmanager")
	}
	err := r.step(ctx, "pods", fmt.Sprintf("pods of generation %d", r.generation), func() (string, error) {
		return "", r.await(ctx, roles...)
	})
	if !noRoom(err) || !r.in.Request.Kind.Replaces() {
		return err
	}
	if !r.warm() {
		return r.goUnchecked(ctx, err)
	}
	if !r.in.Request.AllowCold {
		return failure.Of(err).WithNext("%s; where a longer pause is all right: allowCold", failure.Of(err).Next)
	}
	r.evidence("on cold: " + failure.Of(err).Details[failure.NoRoom])
	return r.goCold(ctx)
}

func (r *run) await(ctx workflow.Context, roles ...string) error {
	_, err := flow.Do(ctx, r.queue, activities.AwaitGeneration, activities.AwaitGenerationIn{
		Identity: r.target.Identity, Generation: r.generation, Roles: roles,
	}, fmt.Sprintf("wait for the pods of generation %d", r.generation))
	return err
}

// awaitRoom is await behind something that made room: pods that waited before get
// the whole grace anew.
func (r *run) awaitRoom(ctx workflow.Context, generation int, roles ...string) error {
	_, err := flow.Do(ctx, r.queue, activities.AwaitGeneration, activities.AwaitGenerationIn{
		Identity: r.target.Identity, Generation: generation, Roles: roles, RoomSince: workflow.Now(ctx).UTC().Format(time.RFC3339),
	}, fmt.Sprintf("wait for the pods of generation %d", generation))
	return err
}

func noRoom(err error) bool {
	return err != nil && failure.Of(err).Details[failure.NoRoom] != ""
}

// goCold takes the TaskManagers that don't fit away again; they come after the stop.
func (r *run) goCold(ctx workflow.Context) error {
	r.cold = true
	err := r.step(ctx, "cold", fmt.Sprintf("the JobManager of generation %d", r.generation), func() (string, error) {
		_, err := flow.Do(ctx, r.queue, activities.ScaleDownWorkers, activities.GenerationRef{Identity: r.target.Identity, Generation: r.generation},
			fmt.Sprintf("take the TaskManagers of generation %d away: they don't fit", r.generation))
		if err != nil {
			return "", err
		}
		return "the TaskManagers come after the stop", r.awaitRoom(ctx, r.generation, "client", "jobmanager")
	})
	if noRoom(err) {
		return r.goUnchecked(ctx, err)
	}
	return err
}

// room waits, behind a cold stop, until the new cluster is complete. The version
// keeps operations that began before there was this wait as they are.
func (r *run) room(ctx workflow.Context) error {
	if r.unchecked {
		return r.checkLate(ctx)
	}
	if r.warm() || workflow.GetVersion(ctx, "cold-workers-fit", workflow.DefaultVersion, 1) < 1 {
		return nil
	}
	return r.step(ctx, "workers", fmt.Sprintf("TaskManagers of generation %d", r.generation), func() (string, error) {
		return "", r.await(ctx, "taskmanager")
	})
}
