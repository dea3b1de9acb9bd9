package agent

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/hdfs"
)

// savepoint takes one; the job runs on.
func (a *Agent) savepoint(ctx context.Context, r *running, in agentapi.SavepointIn) (agentapi.SavepointOut, error) {
	if err := checkSavepoint(in); err != nil {
		return agentapi.SavepointOut{}, err
	}
	s := a.newSaving(r, in, effect.TriggerSavepoint, a.flink.Savepoint)
	operation, err := s.follow(ctx)
	if err != nil {
		return agentapi.SavepointOut{}, err
	}
	out := s.out(operation)
	out.JobState, err = s.settle(ctx, func(flink.Job) bool { return true })
	out.TerminalMS = s.ms()
	return out, err
}

func checkSavepoint(in agentapi.StopIn) error {
	if len(in.FlinkJobID) != 32 || len(in.TriggerID) != 32 || in.Directory == "" || (in.Format != "NATIVE" && in.Format != "CANONICAL") {
		return failure.New(failure.Invalid, "a savepoint needs a job id, a trigger id of 32 hex digits, a directory, and the format NATIVE or CANONICAL")
	}
	_, err := hdfs.Path(in.Directory) // where the platform can't look, a lost answer would stay lost
	return err
}

// saving is one savepoint or stop on its way.
type saving struct {
	agent   *Agent
	command *running
	in      agentapi.StopIn
	effect  effect.Name
	trigger func(context.Context, string, flink.SavepointRequest) error
	started time.Time
	saved   time.Duration
	silent  time.Time // since when the JobManager hasn't answered; zero: it does
}

func (a *Agent) newSaving(r *running, in agentapi.StopIn, name effect.Name, trigger func(context.Context, string, flink.SavepointRequest) error) *saving {
	return &saving{agent: a, command: r, in: in, effect: name, trigger: trigger, started: time.Now()}
}

func (s *saving) ms() int64 { return time.Since(s.started).Milliseconds() }

func (s *saving) out(operation flink.Operation) agentapi.StopOut {
	if operation.Location != "" {
		s.agent.lastSavepoint.Store(&operation.Location)
	}
	return agentapi.StopOut{Savepoint: operation.Location, Cause: operation.Cause, SavepointMS: s.saved.Milliseconds()}
}

// silence is how long a JobManager may not answer before the command ends with
// what was seen; the flow then looks at HDFS and at the pod.
const silence = 2 * time.Minute

// answered keeps count of silence. It passes Flink's answers on, swallows what
// may pass, and ends in failure.Unknown when it lasts.
func (s *saving) answered(err error, doing string) error {
	switch failure.CodeOf(err) {
	case failure.Unavailable, failure.Unknown:
	default:
		s.silent = time.Time{}
		return err
	}
	if s.silent.IsZero() {
		s.silent = time.Now()
	}
	since := time.Since(s.silent)
	if since > silence {
		return s.unknown("the JobManager has not answered for %s while %s", since.Round(time.Second), doing)
	}
	s.command.progress(fmt.Sprintf("the JobManager doesn't answer while %s, since %s", doing, s.silent.UTC().Format(time.TimeOnly)))
	return nil
}

func (s *saving) unknown(format string, args ...any) *failure.Error {
	return failure.New(failure.Unknown, format, args...).With("triggerId", s.in.TriggerID).With("directory", s.in.Directory).
		WithNext("look below %s for a complete savepoint and at the JobManager's pod", s.in.Directory)
}

// follow triggers and polls until Flink says that the operation is over. There
// is no deadline: a savepoint may take 45 minutes. The trigger may be sent any
// number of times: Flink knows it again.
func (s *saving) follow(ctx context.Context) (flink.Operation, error) {
	request := flink.SavepointRequest{TriggerID: s.in.TriggerID, Directory: s.in.Directory, Format: s.in.Format}
	for p := newPace(50*time.Millisecond, 2*time.Second); ; {
		_, err := do(ctx, s.effect, s.in.TriggerID, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.trigger(ctx, s.in.FlinkJobID, request)
		})
		if err == nil {
			break
		}
		if err := s.answered(err, "triggering the savepoint"); err != nil {
			return flink.Operation{}, err
		}
		if err := p.pause(ctx); err != nil {
			return flink.Operation{}, err
		}
	}
	for p := newPace(10*time.Millisecond, time.Second).quickFor(2 * time.Second); ; {
		operation, err := s.agent.flink.SavepointStatus(ctx, s.in.FlinkJobID, s.in.TriggerID)
		if failure.CodeOf(err) == failure.NotFound {
			return operation, s.unknown("the JobManager doesn't know the savepoint's trigger any more: it restarted, or the result expired")
		}
		if err := s.answered(err, "waiting for the savepoint"); err != nil {
			return operation, err
		}
		if err == nil {
			if operation.Completed {
				s.saved = time.Since(s.started)
				return operation, nil
			}
			s.command.progress("waiting for the savepoint, triggered " + s.started.UTC().Format(time.TimeOnly))
		}
		if err := p.pause(ctx); err != nil {
			return operation, err
		}
	}
}

// settleLimit bounds the wait for a job to come to rest after its savepoint; a
// job that is then neither terminal nor RUNNING is reported as it is.
const settleLimit = 2 * time.Minute

// settle reads the job's state until it is terminal or rest says that it will do.
func (s *saving) settle(ctx context.Context, rest func(flink.Job) bool) (string, error) {
	limit := time.Now().Add(settleLimit)
	for p := newPace(10*time.Millisecond, 500*time.Millisecond).quickFor(2 * time.Second); ; {
		found, err := s.agent.flink.Job(ctx, s.in.FlinkJobID)
		if failure.CodeOf(err) == failure.NotFound {
			return "", s.unknown("the savepoint's end was seen, but the JobManager doesn't know the job (any more)")
		}
		if err := s.answered(err, "reading the job's state"); err != nil {
			return "", err
		}
		if err == nil {
			if found.Terminal() || rest(found) || time.Now().After(limit) {
				return found.State, nil
			}
			s.command.progress("waiting for the job to end, it is " + found.State)
		}
		if err := p.pause(ctx); err != nil {
			return "", err
		}
	}
}
