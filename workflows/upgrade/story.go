package upgrade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Search attributes of every job flow, registered in the namespace.
var (
	AttributeTenant    = temporal.NewSearchAttributeKeyKeyword("SluiceTenant")
	AttributeJob       = temporal.NewSearchAttributeKeyKeyword("SluiceJob")
	AttributeSite      = temporal.NewSearchAttributeKeyKeyword("SluiceSite")
	AttributeOperation = temporal.NewSearchAttributeKeyKeyword("SluiceOperation")
	AttributeKind      = temporal.NewSearchAttributeKeyKeyword("SluiceKind")
	AttributePhase     = temporal.NewSearchAttributeKeyKeyword("SluicePhase")
	AttributeRevision  = temporal.NewSearchAttributeKeyInt64("SluiceRevision")
)

// Attributes are all search attributes a namespace must know.
func Attributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{
		AttributeTenant, AttributeJob, AttributeSite, AttributeOperation, AttributeKind, AttributePhase, AttributeRevision,
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func encode(p Progress) ([]byte, error) { return json.Marshal(p) }

func (r *run) changed() { r.progress.Version++ }

func (r *run) evidence(line string) {
	r.progress.Evidence = append(r.progress.Evidence, line)
	r.changed()
}

// enter sets the phase, for people and for searches.
func (r *run) enter(ctx workflow.Context, phase job.Phase) {
	if r.progress.Phase == phase && r.progress.Version > 0 {
		return
	}
	r.progress.Phase = phase
	r.changed()
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttributePhase.ValueSet(string(phase))); err != nil {
		workflow.GetLogger(ctx).Warn("search attribute not set", "error", err)
	}
}

// step runs one step of the timeline. waitingFor says what it waits for; body
// returns a detail for people.
func (r *run) step(ctx workflow.Context, name, waitingFor string, body func() (string, error)) error {
	started := workflow.Now(ctx)
	r.progress.Steps = append(r.progress.Steps, Step{Name: name, State: "running", StartedAt: stamp(started)})
	index := len(r.progress.Steps) - 1
	over := r.wait(ctx, waitingFor)
	detail, err := body()
	s := &r.progress.Steps[index]
	ended := workflow.Now(ctx)
	s.State, s.Detail, s.EndedAt, s.DurationMS = "done", detail, stamp(ended), ended.Sub(started).Milliseconds()
	if err != nil {
		s.State = "failed"
		if failure.CodeOf(err) == failure.Canceled {
			s.State = "canceled"
		}
		s.Detail = failure.Of(err).Message
	}
	over()
	return err
}

// waiting is something that the operation waits for now.
type waiting struct{ what, since string }

// wait says what the operation waits for, until over is called. Two steps may run
// side by side.
func (r *run) wait(ctx workflow.Context, what string) (over func()) {
	w := &waiting{what, stamp(workflow.Now(ctx))}
	r.waits = append(r.waits, w)
	r.showWaits()
	workflow.SetCurrentDetails(ctx, r.details())
	return func() {
		r.waits = slices.DeleteFunc(r.waits, func(other *waiting) bool { return other == w })
		r.showWaits()
	}
}

func (r *run) showWaits() {
	r.progress.WaitingFor, r.progress.Since = "", ""
	for i, w := range r.waits {
		if i == 0 {
			r.progress.WaitingFor, r.progress.Since = w.what, w.since
			continue
		}
		r.progress.WaitingFor += "; " + w.what
	}
	r.changed()
}

func (r *run) end(ctx workflow.Context, phase job.Phase) {
	r.progress.EndedAt = stamp(workflow.Now(ctx))
	r.progress.Cancelable, r.progress.Retryable = false, false
	r.progress.WaitingFor, r.progress.Since = "", ""
	r.enter(ctx, phase)
	workflow.SetCurrentDetails(ctx, r.details())
}

// details is the page that Temporal's UI shows: what, where it stands, what it
// waits for since when, and why.
func (r *run) details() string {
	p := r.progress
	var b strings.Builder
	fmt.Fprintf(&b, "**%s %s** · operation `%s` · phase **%s**\n\n", p.Kind, p.Job, p.Operation, p.Phase)
	if p.WaitingFor != "" {
		fmt.Fprintf(&b, "Waiting for: %s (since %s)\n\n", p.WaitingFor, p.Since)
	}
	if p.TransactionsExpireAt != "" {
		fmt.Fprintf(&b, "Kafka's transactions expire at %s: the job must run again before that\n\n", p.TransactionsExpireAt)
	}
	if p.Failure != nil {
		fmt.Fprintf(&b, "Why: %s\n\n", p.Failure.Message)
		if p.Failure.Next != "" {
			fmt.Fprintf(&b, "Next: %s\n\n", p.Failure.Next)
		}
	}
	if p.Plan != nil {
		b.WriteString(p.Plan.State.story())
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "- %s: %s", s.Name, s.State)
		if s.EndedAt != "" {
			fmt.Fprintf(&b, " (%d ms)", s.DurationMS)
		}
		if s.Detail != "" {
			fmt.Fprintf(&b, " · %s", s.Detail)
		}
		b.WriteString("\n")
	}
	for _, line := range p.Evidence {
		fmt.Fprintf(&b, "- evidence: %s\n", line)
	}
	return b.String()
}
