package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/job"
)

// primerClass is the platform's own tiny job (java/primer). The user's job never
// primes: it would write.
const primerClass = "io.sluice.primer.Primer"

func (a *Agent) uploadPrimer(ctx context.Context) (string, error) {
	file, err := os.Open(a.config.Assignment.PrimerJar)
	if err != nil {
		return "", failure.Wrap(failure.Internal, err, "open the primer's jar")
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", failure.Wrap(failure.Internal, err, "open the primer's jar")
	}
	var id string
	err = a.patiently(ctx, func(ctx context.Context) (err error) {
		id, err = do(ctx, effect.UploadJar, "primer", func(ctx context.Context) (string, error) {
			if _, err := file.Seek(0, 0); err != nil {
				return "", err
			}
			return a.flink.Upload(ctx, "primer.jar", file, info.Size())
		})
		return err
	})
	return id, err
}

// prime runs the primer on all slots and waits until it is over and every slot
// free again. A repeat of the same try finds the job that is there.
func (a *Agent) prime(ctx context.Context, r *running, jar string, in agentapi.PrepareIn) error {
	assignment := a.config.Assignment
	id := job.PrimerID(assignment.JobUID, assignment.Generation, in.Try)
	primer := flink.Program{
		EntryClass:  primerClass,
		Arguments:   []string{"--directory", assignment.HDFSURI + job.PrimerDirectory(assignment.JobUID, assignment.Generation)},
		Parallelism: in.Slots,
	}
	r.progress("priming the JVMs")
	for p := newPace(100*time.Millisecond, time.Second); ; {
		_, err := do(ctx, effect.RunPrimer, id, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, a.flink.Run(ctx, jar, primer, id, "")
		})
		if err == nil || flink.IsDuplicate(err) {
			break
		}
		if code := failure.CodeOf(err); code != failure.Unavailable && code != failure.Unknown {
			return primerFailed(err.Error())
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
	return a.awaitPrimer(ctx, r, id, in.Slots)
}

func (a *Agent) awaitPrimer(ctx context.Context, r *running, id string, slots int) error {
	for p := newPace(20*time.Millisecond, 250*time.Millisecond); ; {
		primer, err := a.flink.Job(ctx, id)
		if err == nil && primer.Terminal() {
			if primer.State != flink.Finished {
				return primerFailed(primer.State + ": " + a.exception(ctx, id))
			}
			overview, err := a.flink.Overview(ctx)
			if err == nil && overview.SlotsTotal >= slots && overview.SlotsFree == overview.SlotsTotal {
				return nil
			}
			r.progress(fmt.Sprintf("waiting for free slots after the primer: %d of %d", overview.SlotsFree, slots))
		}
		if failure.CodeOf(err) == failure.NotFound { // it took the POST: so it restarted since
			return failure.New(failure.Unavailable, "the JobManager lost the primer job: it restarted")
		}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

func primerFailed(cause string) error {
	return failure.New(failure.JobFailed, "the new cluster failed the platform's own trial job: %s", cause).
		WithNext("look at the TaskManagers' logs; often HDFS can't be written by Flink's user or memory is too small")
}
