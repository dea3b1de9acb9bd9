package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
)

// awaitLimit ends a wait whose caller has long gone.
const awaitLimit = 30 * time.Minute

// unknownJobLimit is how long a JobManager that took a job may not know it: it
// answers from a cache.
const unknownJobLimit = 5 * time.Second

// restartsTolerated is how often a submission may restart before it runs as
// meant. Flink goes on for minutes; whoever waits has a job that is down.
const restartsTolerated = 2

// await proves that the submission runs as it was meant to: every vertex with
// all its subtasks, from the snapshot of the intent.
func (a *Agent) await(ctx context.Context, r *running, in agentapi.AwaitIn) (agentapi.AwaitOut, error) {
	found, err := a.awaitVertices(ctx, r, in)
	if err != nil {
		return agentapi.AwaitOut{}, err
	}
	out := agentapi.AwaitOut{}
	for _, v := range found.Vertices {
		out.Vertices = append(out.Vertices, agentapi.Vertex{ID: v.ID, Name: v.Name, Parallelism: v.Parallelism, Status: v.Status})
	}
	err = a.patiently(ctx, func(ctx context.Context) error {
		out.RunningAt = 0
		for _, v := range found.Vertices {
			since, err := a.flink.RunningSince(ctx, in.FlinkJobID, v.ID)
			if err != nil {
				return err
			}
			out.RunningAt = max(out.RunningAt, since)
		}
		checkpoints, err := a.flink.Checkpoints(ctx, in.FlinkJobID)
		out.RestoredPath, out.Traces = checkpoints.RestoredPath, tracesOf(found, checkpoints)
		return err
	})
	if err != nil {
		return agentapi.AwaitOut{}, err
	}
	return out, checkRestored(in, out.RestoredPath)
}

// checkRestored compares what Flink restored with what was meant: exactly that,
// or a later checkpoint of this very job (it has restarted since).
func checkRestored(in agentapi.AwaitIn, restored string) error {
	if in.RestorePath == restored || flink.SamePath(in.RestorePath, restored) || strings.Contains(restored, "/"+in.FlinkJobID+"/chk-") {
		return nil
	}
	shown := restored
	if shown == "" {
		shown = "nothing (it started empty)"
	}
	return failure.New(failure.Refused, "the job restored %s instead of %s", shown, in.RestorePath).
		With("restored", restored).With("intended", in.RestorePath).
		WithNext("main() may set a savepoint path or a restore mode of its own: the platform owns both")
}

func (a *Agent) awaitVertices(ctx context.Context, r *running, in agentapi.AwaitIn) (flink.Job, error) {
	limit, unknownSince := time.Now().Add(awaitLimit), time.Time{}
	// By when the attempt ran that failed. Its back-off lasts longer than the time
	// between two looks; the adaptive scheduler shows no other trace of it, since each
	// attempt has a graph and timestamps of its own.
	restarts := map[int64]bool{}
	for p := newPace(20*time.Millisecond, 500*time.Millisecond); ; {
		found, err := a.flink.Job(ctx, in.FlinkJobID)
		waiting := "the JobManager doesn't answer"
		switch code := failure.CodeOf(err); {
		case code == failure.NotFound:
			if unknownSince.IsZero() {
				unknownSince = time.Now()
			}
			waiting = "the JobManager doesn't know the job yet"
			if time.Since(unknownSince) > unknownJobLimit {
				return found, failure.Wrap(failure.Unknown, err, "the JobManager doesn't know the job that it took: it may have restarted")
			}
		case err == nil && found.Terminal():
			if err := a.recordJobEnd(ctx, found.ID, found.State, ""); err != nil {
				return found, err
			}
			return found, a.jobFailed(ctx, found)
		case err == nil:
			unknownSince = time.Time{}
			if found.State == flink.Restarting {
				restarts[found.Timestamps[flink.Running]] = true
			}
			if len(restarts) > restartsTolerated {
				return found, a.jobFailed(ctx, found)
			}
			if waiting, err = a.missing(ctx, found); err == nil && waiting == "" {
				return found, nil
			}
		case code != failure.Unavailable:
			return found, err
		}
		if time.Now().After(limit) {
			return found, failure.New(failure.Unproven, "the job does not run as meant after %s: %s", awaitLimit, waiting)
		}
		r.progress(waiting)
		if err := p.pause(ctx); err != nil {
			return found, err
		}
	}
}

// missing says what still keeps the job from running as meant; "" when nothing.
func (a *Agent) missing(ctx context.Context, found flink.Job) (string, error) {
	if found.State != flink.Running || len(found.Vertices) == 0 {
		return "the job is " + found.State, nil
	}
	for _, v := range found.Vertices {
		if up := v.Tasks[flink.Running] + v.Tasks[flink.Finished]; up < v.Parallelism {
			return fmt.Sprintf("%q runs %d of %d subtasks", v.Name, up, v.Parallelism), nil
		}
	}
	// The adaptive scheduler starts with the slots that it finds: running is not
	// yet running as wide as asked.
	targets, err := a.flink.Targets(ctx, found.ID)
	if err != nil {
		return "the target parallelism can't be read", err
	}
	for _, v := range found.Vertices {
		if target, known := targets[v.ID]; known && v.Parallelism != target {
			return fmt.Sprintf("%q runs at parallelism %d of %d", v.Name, v.Parallelism, target), nil
		}
	}
	return "", nil
}

// jobFailed is the failure of a job that ended or restarts, with Flink's root
// exception.
func (a *Agent) jobFailed(ctx context.Context, found flink.Job) error {
	cause := a.exception(ctx, found.ID)
	return failure.New(failure.JobFailed, "the job is %s: %s", found.State, cause).With("state", found.State).With("exception", cause)
}

// exception is Flink's root exception. It lists one a moment after the state
// has changed, so it is asked for a few times.
func (a *Agent) exception(ctx context.Context, id string) string {
	const looks = 10
	p := newPace(50*time.Millisecond, 200*time.Millisecond)
	for range looks {
		if cause, err := a.flink.Exception(ctx, id); err == nil && cause != "" {
			return cause
		}
		if p.pause(ctx) != nil {
			break
		}
	}
	return "Flink names no exception"
}
