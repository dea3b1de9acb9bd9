package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"sluice/internal/flink"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/manifest"
)

// Rescale gives the running job the TaskManagers and the parallelism of a profile,
// in place, and returns when Flink was told. The next Upgrade goes back to the
// script's own profile, with a new cluster.
func (p *Plain) Rescale(ctx context.Context, to job.Profile) (told time.Time, err error) {
	if err := p.addWorkers(ctx, to); err != nil {
		return told, err
	}
	if err := p.checkpoint(ctx); err != nil {
		return told, err
	}
	targets, err := p.transport.Targets(ctx, p.jobID)
	if err != nil {
		return told, err
	}
	for vertex, parallelism := range targets {
		if parallelism == p.Profile.Parallelism { // another one is the program's own choice
			targets[vertex] = to.Parallelism
		}
	}
	told = time.Now()
	if err := p.transport.Rescale(ctx, p.jobID, targets); err != nil {
		return told, err
	}
	return told, p.running(ctx, p.transport, targets)
}

func (p *Plain) addWorkers(ctx context.Context, to job.Profile) error {
	name := manifest.Of(p.Identity, p.generation)
	workers := name.Deployment(manifest.TaskManager)
	if err := p.Cluster.Scale(ctx, manifest.ManagerGeneration, p.Identity.Namespace, workers, int32(to.TaskManager.Replicas)); err != nil {
		return err
	}
	if _, err := p.Cluster.AwaitAvailable(ctx, kube.Wanted{
		Namespace: p.Identity.Namespace, Selector: manifest.GenerationSelector(name), Names: []string{workers}, Since: time.Now(),
	}, func(string) {}); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		o, err := p.transport.Overview(ctx)
		return err == nil && o.SlotsTotal >= to.Slots(), nil
	})
}

// checkpoint takes one: the job goes on from it when its tasks start anew.
func (p *Plain) checkpoint(ctx context.Context) error {
	trigger := job.TriggerID(ulid.Make().String(), "plain", 1)
	if err := p.transport.Checkpoint(ctx, p.jobID, trigger); err != nil {
		return err
	}
	var done flink.Operation
	err := until(ctx, func() (_ bool, err error) {
		done, _, err = p.transport.CheckpointStatus(ctx, p.jobID, trigger)
		return err == nil && done.Completed, nil
	})
	if err == nil && done.Cause != "" {
		err = fmt.Errorf("checkpoint: %s", done.Cause)
	}
	return err
}
