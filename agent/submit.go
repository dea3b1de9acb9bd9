package agent

import (
	"context"
	"sync"
	"time"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/job"
	"sluice/internal/lease"
)

// submit posts the job once: the intent goes onto the Lease first, the same POST
// is repeated on the same JobManager until it is answered, and the answer goes
// onto the Lease. A JobManager that isn't the intent's never gets it.
func (a *Agent) submit(ctx context.Context, r *running, in agentapi.SubmitIn) (agentapi.SubmitOut, error) {
	if want := job.FlinkJobID(a.config.Assignment.JobUID, in.Epoch); in.FlinkJobID != want {
		return agentapi.SubmitOut{}, failure.New(failure.Invalid, "the Flink job id of epoch %d is %s, not %s", in.Epoch, want, in.FlinkJobID)
	}
	if in.Parallelism == 0 {
		parallelism, err := a.parallelism(ctx)
		if err != nil {
			return agentapi.SubmitOut{}, err
		}
		in.Parallelism = parallelism
	}
	jar, _, err := a.ensureJar(ctx, r, in.Tenant, in.Spec.Artifact) // before the intent: it may take long
	if err != nil {
		return agentapi.SubmitOut{}, err
	}
	p := &posting{agent: a, command: r, in: in, jar: jar}
	if err := p.intend(ctx); err != nil || p.accepted {
		return agentapi.SubmitOut{FlinkJobID: in.FlinkJobID, Duplicate: true}, err
	}
	r.progress("submitting")
	started := time.Now()
	duplicate, err := p.post(ctx)
	if err != nil {
		return agentapi.SubmitOut{}, err
	}
	out := agentapi.SubmitOut{FlinkJobID: in.FlinkJobID, Duplicate: duplicate, PostMS: time.Since(started).Milliseconds()}
	if err := p.sameJobManager(ctx); err != nil {
		return out, err
	}
	return out, p.record(ctx, lease.Accepted)
}

// posting is one submission between intent and answer.
type posting struct {
	agent   *Agent
	command *running
	in      agentapi.SubmitIn
	jar     string
	to      jobManager // the intent's
	// open says that an earlier POST may still work: a refusal of this one then
	// proves nothing.
	open     bool
	accepted bool // the Lease says that an earlier try was
}

// intend notes the submission, or finds the note of an earlier try.
func (p *posting) intend(ctx context.Context) error {
	a := p.agent
	var looked sync.WaitGroup
	// The job is down: what the swap begins with is read beside the look at the pod.
	looked.Go(func() { _, _ = a.readLease(ctx) })
	var now jobManager
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		now, err = a.currentJobManager(ctx)
		return err
	})
	looked.Wait()
	if err != nil {
		return err
	}
	intent := lease.Intent{
		Epoch: p.in.Epoch, Generation: a.config.Assignment.Generation, Operation: p.command.Operation,
		FlinkJobID: p.in.FlinkJobID, RestorePath: p.in.RestorePath,
		JobManagerPodUID: now.PodUID, JobManagerContainerID: now.ContainerID, JobManagerAttempt: now.Attempt,
	}
	// Another epoch on the Lease before the swap: this try's note is the first.
	repeat := false
	state, err := a.swapLease(ctx, func(s lease.State) (lease.State, error) {
		repeat = s.Intent != nil && s.Intent.Epoch == intent.Epoch
		return s.Intend(intent)
	})
	if err != nil {
		return err
	}
	p.to = jobManager{PodUID: state.Intent.JobManagerPodUID, ContainerID: state.Intent.JobManagerContainerID}
	p.open = repeat
	if err := p.ended(state.Intent.Outcome); err != nil {
		return err
	}
	if !p.to.is(now) {
		return p.gone(now)
	}
	p.accepted = state.Intent.Outcome == lease.Accepted
	return nil
}

func (p *posting) ended(outcome lease.Outcome) error {
	switch outcome {
	case lease.Open, lease.Accepted:
		return nil
	case lease.Failed:
		return failure.New(failure.JobFailed, "submission %d failed already", p.in.Epoch)
	default:
		return failure.New(failure.Refused, "submission %d is over: %s", p.in.Epoch, outcome)
	}
}

func (p *posting) gone(now jobManager) error {
	return failure.New(failure.Unproven, "the JobManager that got this POST is gone: container %s of pod %s, now it is %s", p.to.ContainerID, p.to.PodUID, now.ContainerID).
		With("podUID", p.to.PodUID).With("containerID", p.to.ContainerID).
		WithNext("the submission's end must be proven before the next one: the recorded container's end, or the job's state")
}

// sameJobManager proves that the container which answered is the intent's: it
// ran before the POST and runs after it.
func (p *posting) sameJobManager(ctx context.Context) error {
	return p.agent.patiently(ctx, func(ctx context.Context) error {
		now, err := p.agent.currentJobManager(ctx)
		if err == nil && !p.to.is(now) {
			return p.gone(now)
		}
		return err
	})
}

// postLimit ends the repeating; the flow looks then.
const postLimit = 10 * time.Minute

func (p *posting) post(ctx context.Context) (duplicate bool, err error) {
	a := p.agent
	limit := time.Now().Add(postLimit)
	for pace := newPace(100*time.Millisecond, 2*time.Second); ; {
		_, err := do(ctx, effect.SubmitJob, p.in.FlinkJobID, func(ctx context.Context) (struct{}, error) {
			main := a.program(p.in.Spec, p.in.Parallelism)
			main.AllowStateLoss = p.in.AllowStateLoss
			return struct{}{}, a.flink.Run(ctx, p.jar, main, p.in.FlinkJobID, p.in.RestorePath)
		})
		switch code := failure.CodeOf(err); {
		case err == nil:
			return false, nil
		case flink.IsDuplicate(err):
			return true, nil
		case flink.IsJarMissing(err):
			a.forgetJar(p.in.Spec.Artifact)
			if p.jar, _, err = a.ensureJar(ctx, p.command, p.in.Tenant, p.in.Spec.Artifact); err != nil {
				return false, err
			}
		case code == failure.Unknown:
			p.open = true
		case code != failure.Unavailable:
			return p.refused(ctx, err)
		}
		if time.Now().After(limit) {
			return false, failure.Wrap(failure.Unknown, err, "the submission was not answered for %s", postLimit)
		}
		p.command.progress("submitting again: the JobManager did not answer")
		if err := pace.pause(ctx); err != nil {
			return false, err
		}
		if err := p.sameJobManager(ctx); err != nil {
			return false, err
		}
	}
}

// refused looks at what a definite refusal left behind: a main that threw after
// it had submitted leaves the job running, a savepoint that can't be restored
// leaves a FAILED one (default scheduler), and one that threw before leaves none.
func (p *posting) refused(ctx context.Context, refusal error) (duplicate bool, err error) {
	if err := p.sameJobManager(ctx); err != nil {
		return false, err
	}
	found, err := p.left(ctx)
	switch code := failure.CodeOf(err); {
	case code == failure.NotFound && p.open:
		return false, failure.Wrap(failure.Unknown, refusal, "Flink refused the repeated submission, but an earlier POST may still work").
			WithNext("%s", failure.Of(refusal).Message)
	case code == failure.NotFound:
		if err := p.record(ctx, lease.Closed); err != nil {
			return false, err
		}
		return false, refusal
	case err != nil:
		return false, failure.Wrap(failure.Unknown, err, "Flink refused the submission, and what it left behind can't be read")
	case !found.Terminal():
		p.agent.log.WarnContext(ctx, "main failed after it had submitted the job", "error", refusal)
		return true, nil
	}
	if err := p.agent.recordJobEnd(ctx, found.ID, found.State, ""); err != nil {
		return false, err
	}
	return false, p.agent.jobFailed(ctx, found)
}

// left reads what a refused submission left behind. The JobManager may answer
// late for a job that it is just taking: only a 404 that stays for a while, from
// the JobManager that refused, says that there is none.
func (p *posting) left(ctx context.Context) (found flink.Job, err error) {
	limit := time.Now().Add(absentFor)
	for pace := newPace(100*time.Millisecond, time.Second); ; {
		err = p.agent.patiently(ctx, func(ctx context.Context) (err error) {
			found, err = p.agent.flink.Job(ctx, p.in.FlinkJobID)
			return err
		})
		if failure.CodeOf(err) != failure.NotFound {
			return found, err
		}
		if time.Now().After(limit) {
			if same := p.sameJobManager(ctx); same != nil {
				return found, same
			}
			return found, err
		}
		if err := pace.pause(ctx); err != nil {
			return found, err
		}
	}
}

// absentFor is how long a refused submission's job must stay unknown.
const absentFor = 5 * time.Second

func (p *posting) record(ctx context.Context, outcome lease.Outcome) error {
	_, err := p.agent.swapLease(ctx, func(s lease.State) (lease.State, error) { return s.Record(p.in.Epoch, outcome, "") })
	return err
}
