package upgrade

import (
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// What a plan foresees changes from one look to the next without anybody's doing: it
// is no part of the plan's digest.

// Prediction is what the operation will probably take: medians of what the last
// committed operations of this job took. 0: there is none to go by, Note says so.
type Prediction struct {
	SavepointMS int64  `json:"savepointMs,omitempty"` // the stop: its savepoint and the job's end
	Savepoints  int    `json:"savepoints,omitempty"`  // how many it is the median of
	DowntimeMS  int64  `json:"downtimeMs,omitempty"`  // stop sent → every vertex RUNNING again
	Downtimes   int    `json:"downtimes,omitempty"`   // how many it is the median of
	Note        string `json:"note,omitempty"`
}

// foresee begins to ask for what a plan foresees. Runs that began before it was asked
// foresee nothing.
func (r *run) foresee(ctx workflow.Context) func(*Facts) error {
	if workflow.GetVersion(ctx, "foresee", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return func(*Facts) error { return nil }
	}
	past := flow.Go(ctx, job.FlowQueue, activities.PastOperations, activities.PastIn{JobUID: r.target.Identity.UID}, "what did earlier operations take?")
	if !r.changes() {
		return func(facts *Facts) error {
			out, err := past.Get(ctx)
			facts.Past = &out
			return err
		}
	}
	in := activities.QuotaIn{Active: r.old, GenerationIn: activities.GenerationIn{
		Identity: r.target.Identity, Operation: r.in.Operation, Generation: r.state.Generation + 1, Revision: r.target.Revision, Profile: r.target.Profile, Workers: true,
	}}
	quota := flow.Go(ctx, r.queue, activities.LookAtQuota, in, "does the namespace's quota have room for a new generation?")
	return func(facts *Facts) error {
		out, err := past.Get(ctx)
		if err != nil {
			return err
		}
		facts.Past = &out
		facts.Quota, err = quota.Get(ctx)
		return err
	}
}

// predict says what the operation will probably take; nil where nothing is stopped,
// or nothing is known of that.
func predict(f Facts, plan Plan) *Prediction {
	stops := f.Request.Kind.Replaces() || f.Request.Kind == job.Stop
	if f.Past == nil || plan.Strategy == job.InPlace || !stops && f.Request.Kind != job.Savepoint {
		return nil
	}
	var savepoints, downtimes []int64
	for _, o := range f.Past.Operations {
		if o.SavepointMS > 0 {
			savepoints = append(savepoints, o.SavepointMS)
		}
		if o.DowntimeMS > 0 && o.Strategy == plan.Strategy {
			downtimes = append(downtimes, o.DowntimeMS)
		}
	}
	var p Prediction
	var unknown []string
	if !plan.NoSavepoint {
		p.SavepointMS, p.Savepoints = median(savepoints), len(savepoints)
		if p.Savepoints == 0 {
			unknown = append(unknown, "how long a savepoint takes")
		}
	}
	if f.Request.Kind.Replaces() {
		if p.DowntimeMS, p.Downtimes = median(downtimes), len(downtimes); p.Downtimes == 0 {
			unknown = append(unknown, "how long the job is down")
		}
	}
	if len(unknown) > 0 {
		p.Note = "not known: " + strings.Join(unknown, ", ") + "; no committed operation of this job says"
	}
	return &p
}

// median is 0 of none; of an even number it is the greater one in the middle.
func median(all []int64) int64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// mustFitQuota refuses what the namespace's quota has no room for beside what runs,
// unless the request allows the way that needs less.
func mustFitQuota(f Facts, plan Plan) error {
	if plan.Strategy == job.InPlace || plan.To == nil {
		return nil
	}
	warm := plan.Strategy != job.Cold
	for _, room := range f.Quota.Rooms {
		switch {
		case room.Fits:
		case !f.Request.Kind.Replaces():
			return noQuota(f, room, "")
		case warm && !f.Request.AllowCold:
			return noQuota(f, room, "; where a longer pause is all right: allowCold")
		case !room.FitsCold && !f.Request.AllowUnchecked:
			return noQuota(f, room, "; where the job may be stopped before anything of the new revision was checked: allowUnchecked")
		}
	}
	return nil
}

func noQuota(f Facts, room activities.QuotaRoom, orElse string) error {
	beside := " beside what runs"
	if !f.Request.Kind.Replaces() {
		beside = ""
	}
	return failure.New(failure.Refused, "the ResourceQuota %s has no room for a new cluster%s: of %s it needs %s, %s of %s are left", room.Quota, beside, room.Resource, room.Needs, room.Left, room.Hard).
		With("quota", room.Quota).With("resource", room.Resource).
		WithNext("have the quota of namespace %s raised, or ask for a smaller profile%s", f.Target.Identity.Namespace, orElse)
}
