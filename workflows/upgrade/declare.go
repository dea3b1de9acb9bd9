package upgrade

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/internal/flow"
)

// A container's end is proven by its kubelet, or by its node that is proven off. A
// machine that nobody can reach proves nothing: then a person may say that it is off
// (DESIGN §3). That word is asked for only while the operation waits for the proof,
// for the containers that it names, and takes the place of no other proof.

// lookForUnheard bounds the look for them: the question is put all the same.
const lookForUnheard = 20 * time.Second

// mayDeclare adds the option to declare containers dead, where the cause of a
// question is that their end isn't proven.
func (r *run) mayDeclare(ctx workflow.Context, cause error, options []Option) []Option {
	r.unheard = nil
	code := failure.CodeOf(cause)
	if code != failure.Unproven && code != failure.Unknown && code != failure.Unavailable {
		return options
	}
	if workflow.GetVersion(ctx, "declare-dead", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return options
	}
	if r.unheard = r.findUnheard(ctx); len(r.unheard) == 0 {
		return options
	}
	what := "say that these have ended, of which no kubelet speaks: " + list(r.unheard) + "; admins only, with a reason; if one of them runs on, two copies of the job write"
	return append(slices.Clone(options), Option{OptionDeclareDead, what})
}

// list names containers for people.
func list(all []activities.Unheard) string {
	const most = 10
	var lines []string
	for _, c := range all[:min(len(all), most)] {
		lines = append(lines, fmt.Sprintf("%s %s (%s)", c.Role, cmp.Or(c.Pod, c.ContainerID), c.Why))
	}
	if len(all) > most {
		lines = append(lines, fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(lines, ", ")
}

// findUnheard doesn't wait for a Kubernetes or a record store that is away.
func (r *run) findUnheard(ctx workflow.Context) []activities.Unheard {
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	var found []activities.Unheard
	looked := false
	workflow.Go(ctx, func(ctx workflow.Context) {
		all, err := r.unheardNow(ctx)
		if err != nil {
			workflow.GetLogger(ctx).Warn("the containers without a proven end aren't known", "error", err)
			all = nil
		}
		found, looked = all, true
	})
	if _, err := workflow.AwaitWithTimeout(ctx, lookForUnheard, func() bool { return looked }); err != nil {
		return nil
	}
	return found
}

// unheardNow are those of the submission on the Lease; none where that is over.
func (r *run) unheardNow(ctx workflow.Context) ([]activities.Unheard, error) {
	read, err := flow.Do(ctx, r.queue, activities.ReadLease, r.leaseIn(), "which submission isn't over?")
	if err != nil {
		return nil, err
	}
	intent := read.State.Intent
	if intent == nil || intent.Outcome.Over() || intent.JobManagerContainerID == "" {
		return nil, nil
	}
	in := activities.UnheardIn{GenerationRef: activities.GenerationRef{Identity: r.target.Identity, Generation: intent.Generation}}
	ends, err := r.jobManagerEnds(ctx, intent)
	if err != nil {
		return nil, err
	}
	if len(ends) == 0 {
		in.JobManager = &activities.Unheard{
			ContainerID: intent.JobManagerContainerID, Container: "jobmanager", Attempt: intent.JobManagerAttempt,
			PodUID: intent.JobManagerPodUID, Role: "jobmanager", Why: "its pod is gone, and nobody recorded its end",
		}
	}
	out, err := flow.Do(ctx, r.queue, activities.UnheardContainers, in, "of which containers does no kubelet speak?")
	r.declareOf = intent.Generation
	return out.Containers, err
}

// jobManagerEnds are the recorded ends that prove the end of the container which
// took the submission.
func (r *run) jobManagerEnds(ctx workflow.Context, intent *lease.Intent) ([]activities.ContainerEnd, error) {
	ends, err := flow.Do(ctx, job.FlowQueue, activities.ContainerEnds, activities.ContainerEndsIn{
		JobUID: r.target.Identity.UID, Generation: intent.Generation, ContainerIDs: []string{intent.JobManagerContainerID},
		After: &activities.Attempt{PodUID: intent.JobManagerPodUID, Container: "jobmanager", Number: intent.JobManagerAttempt},
	}, "did the container of the submission's JobManager end?")
	return ends.Ends, err
}

// declareDead records a person's word on the containers that were shown, as far as
// they are unheard still. What fails of it is asked again with the step that lacks
// the proof.
func (r *run) declareDead(ctx workflow.Context) {
	shown := r.unheard
	err := r.step(ctx, OptionDeclareDead, "the record store and Kubernetes", func() (string, error) {
		now, err := r.unheardNow(ctx)
		if err != nil {
			return "", err
		}
		named := slices.DeleteFunc(now, func(c activities.Unheard) bool {
			return !slices.ContainsFunc(shown, func(s activities.Unheard) bool { return s.ContainerID == c.ContainerID })
		})
		if len(named) == 0 {
			return "none of them is unheard any more", nil
		}
		in := activities.DeclareIn{
			GenerationRef: activities.GenerationRef{Identity: r.target.Identity, Generation: r.declareOf}, Containers: named,
			Source: "a person's word in operation " + r.in.Operation + ": " + r.word.Reason, At: stamp(workflow.Now(ctx)),
		}
		if _, err := flow.Do(ctx, job.FlowQueue, activities.RecordEnds, in, "record the ends that a person declared"); err != nil {
			return "", err
		}
		if _, err := flow.Do(ctx, r.queue, activities.DeclareEnded, in, "note on the pods what a person declared"); err != nil {
			return "", err
		}
		r.evidence("declared dead, " + in.Source + ": " + list(named))
		return list(named), nil
	})
	if err != nil {
		r.evidence("what was declared could not be noted: " + failure.Of(err).Message)
	}
}
