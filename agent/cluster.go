package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/lease"
)

// The labels by which a generation's JobManager is found.
const (
	labelJob        = "sluice.io/job"
	labelGeneration = "sluice.io/generation"
	labelComponent  = "app.kubernetes.io/component"
)

// jobManager is the one process that can answer for a submission.
type jobManager struct {
	PodUID      string
	ContainerID string
	Attempt     int // counts the pod's JobManager containers from 1
}

// is says whether both are the same container. An intent from before attempts
// were noted has none.
func (j jobManager) is(other jobManager) bool {
	return j.PodUID == other.PodUID && j.ContainerID == other.ContainerID
}

// currentJobManager reads which container is the JobManager now. The intent
// names it, so that its end can be proven later; it is read again after a POST,
// because the Service would lead to its successor without a word.
func (a *Agent) currentJobManager(ctx context.Context) (jobManager, error) {
	pods, err := a.pods(ctx, "jobmanager")
	if err != nil {
		return jobManager{}, err
	}
	var found []jobManager
	for i := range pods {
		if current, ok := runningJobManager(&pods[i]); ok {
			found = append(found, current)
		}
	}
	if len(found) != 1 {
		return jobManager{}, failure.New(failure.Unavailable, "%d running JobManagers of generation %d were found, not one", len(found), a.config.Assignment.Generation)
	}
	return found[0], nil
}

// pods lists the generation's pods of a role.
func (a *Agent) pods(ctx context.Context, component string) ([]core.Pod, error) {
	selector := fmt.Sprintf("%s=%s,%s=%d,%s=%s", labelJob, a.config.Assignment.Job, labelGeneration, a.config.Assignment.Generation, labelComponent, component)
	pods, err := a.config.Pods.Pods(a.config.Assignment.Namespace).List(ctx, meta.ListOptions{LabelSelector: selector})
	if apierrors.IsForbidden(err) {
		return nil, failure.Wrap(failure.Forbidden, err, "the agent's service account may not list pods")
	}
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "Kubernetes did not list the %s pods", component)
	}
	return pods.Items, nil
}

// runningJobManager is the pod's container "jobmanager", else its only one.
func runningJobManager(pod *core.Pod) (jobManager, bool) {
	if pod.DeletionTimestamp != nil {
		return jobManager{}, false
	}
	statuses := pod.Status.ContainerStatuses
	for i := range statuses {
		if statuses[i].State.Running != nil && statuses[i].ContainerID != "" && (len(statuses) == 1 || statuses[i].Name == "jobmanager") {
			return jobManager{PodUID: string(pod.UID), ContainerID: statuses[i].ContainerID, Attempt: int(statuses[i].RestartCount) + 1}, true
		}
	}
	return jobManager{}, false
}

func (a *Agent) readLease(ctx context.Context) (lease.State, error) {
	var now lease.Reading
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		now, err = a.leases.Read(ctx, a.key)
		return err
	})
	if err == nil {
		a.seen.Store(&now)
	}
	return now.State, err
}

// swapLease changes the Lease; a Kubernetes that is away is waited for a while.
// It begins with what this process saw last: mostly nobody has written since.
func (a *Agent) swapLease(ctx context.Context, decide func(lease.State) (lease.State, error)) (lease.State, error) {
	var written lease.Reading
	err := a.patiently(ctx, func(ctx context.Context) (err error) {
		earlier := lease.Reading{}
		if seen := a.seen.Swap(nil); seen != nil {
			earlier = *seen
		}
		written, err = do(ctx, effect.WriteLease, a.key.Name, func(ctx context.Context) (lease.Reading, error) {
			return a.leases.UpdateFrom(ctx, a.key, earlier, decide)
		})
		return err
	})
	if err == nil {
		a.seen.Store(&written)
	}
	return written.State, err
}

// patience is how long servers other than Flink may be away within a command.
const patience = 30 * time.Second

// patiently repeats a harmless call while its server is away.
func (a *Agent) patiently(ctx context.Context, call func(context.Context) error) error {
	limit := time.Now().Add(patience)
	for p := newPace(50*time.Millisecond, time.Second); ; {
		err := call(ctx)
		// Rights that were just granted take a moment to reach every API server.
		code := failure.CodeOf(err)
		if code != failure.Unavailable && code != failure.Forbidden || time.Now().After(limit) {
			return err
		}
		if p.pause(ctx) != nil {
			return err
		}
	}
}

// do sends an effect through its door; an error without a code (an injected
// fault) leaves the outcome unknown.
func do[T any](ctx context.Context, name effect.Name, id string, call func(context.Context) (T, error)) (T, error) {
	out, err := effect.Do(ctx, name, id, call)
	var known *failure.Error
	if err != nil && !errors.As(err, &known) {
		err = failure.Wrap(failure.Unknown, err, "the outcome of %s is not known", name)
	}
	return out, err
}

// pace makes polls quick at first and calm later: Flink has no watches.
type pace struct{ next, most, steady time.Duration }

func newPace(first, most time.Duration) *pace { return &pace{next: first, most: most} }

// quickFor keeps the first wait's length for a while: of a poll that a stopped job
// waits for.
func (p *pace) quickFor(a time.Duration) *pace {
	p.steady = a
	return p
}

// pause waits; each wait is an eighth longer than the one before.
func (p *pace) pause(ctx context.Context) error {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	if p.steady -= p.next; p.steady <= 0 {
		p.next = min(p.next+p.next/8+time.Millisecond, p.most)
	}
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return failure.Wrap(failure.Unavailable, ctx.Err(), "the agent is stopping")
	}
}
