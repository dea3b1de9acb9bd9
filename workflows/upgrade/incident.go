package upgrade

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// Recording takes a job's incidents while no operation is open: it records them
// and ends. It holds the job's lock meanwhile, so that whoever tells an incident
// tells either an operation or a recording run. first comes by the signal too,
// which a run that was there already would have got.
func Recording(ctx workflow.Context, first job.Incident) error {
	told := incidents{signals: workflow.GetSignalChannel(ctx, SignalIncident)}
	told.isNew(first)
	told.record(ctx, first, "")
	told.drain(ctx, func() {
		for in, ok := told.next(); ok; in, ok = told.next() {
			told.record(ctx, in, "")
		}
	})
	return nil
}

// incidents are those that a run was told.
type incidents struct {
	signals workflow.ReceiveChannel
	seen    []string                       // ids
	told    []job.Incident                 // of this run's job, from a version on that knows them
	records []flow.Future[activities.None] // under way
}

// next is one that was not told before; false: there is none now. It never waits.
func (i *incidents) next() (job.Incident, bool) {
	for {
		var in job.Incident
		if !i.signals.ReceiveAsync(&in) {
			return in, false
		}
		if i.isNew(in) {
			return in, true
		}
	}
}

// isNew says whether it was not told before.
func (i *incidents) isNew(in job.Incident) bool {
	if slices.Contains(i.seen, in.ID) {
		return false
	}
	i.seen = append(i.seen, in.ID)
	return true
}

// of is the incident of a submission; nil: none was told.
func (i *incidents) of(epoch int64) *job.Incident {
	for n := range i.told {
		if i.told[n].Epoch == epoch {
			return &i.told[n]
		}
	}
	return nil
}

func (i *incidents) record(ctx workflow.Context, in job.Incident, operation string) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	i.records = append(i.records, flow.Go(ctx, job.FlowQueue, activities.RecordIncident, activities.RecordIncidentIn{Incident: in, Operation: operation}, "record: "+in.String()))
}

// drain returns when all that take finds is on record. Nothing yields between its
// last look and the run's close: Temporal doesn't let a run close over a signal
// that came meanwhile, and one that comes later starts the next run.
func (i *incidents) drain(ctx workflow.Context, take func()) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	for take(); len(i.records) > 0; take() {
		under := i.records
		i.records = nil
		for _, record := range under {
			if _, err := record.Get(ctx); err != nil {
				workflow.GetLogger(ctx).Error("an incident is not in the record store", "error", err)
			}
		}
	}
}

// listen deals with incidents for as long as the run is open.
func (r *run) listen(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	r.incidents.signals = workflow.GetSignalChannel(ctx, SignalIncident)
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			// Not Receive: what it had taken would be lost if the run closed before it went on.
			if err := workflow.Await(ctx, func() bool { return r.incidents.signals.Len() > 0 }); err != nil {
				return
			}
			r.takeIncidents(ctx)
		}
	})
}

func (r *run) takeIncidents(ctx workflow.Context) {
	for in, ok := r.incidents.next(); ok; in, ok = r.incidents.next() {
		r.evidence(in.String())
		if workflow.GetVersion(ctx, "incident", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			continue // a worker that didn't know them went on without
		}
		operation := r.in.Operation
		if r.settling { // nobody deals with it any more
			operation = ""
		}
		r.incidents.record(ctx, in, operation)
		if in.UID == r.in.UID && in.Kind == job.IncidentLoss { // else of a job of this name that was deleted, or evidence
			r.incidents.told = append(r.incidents.told, in)
			r.deal(in)
		}
	}
}

// deal does what an incident means at this point of the operation (DESIGN §4).
// Of another submission than the one that matters, and in a rollback, it is
// evidence only.
func (r *run) deal(in job.Incident) {
	intent := r.state.Intent
	switch {
	case !r.past:
		if r.lost() != nil && r.cancelBefore != nil {
			r.cancelBefore()
		}
	case r.progress.Phase == job.Stopping || r.asks == job.Stopping:
		r.news = r.news || intent != nil && in.Epoch == intent.Epoch
		r.reread()
	case in.Epoch == r.epoch && r.endWaits != nil:
		r.endWaits()
	}
}

// lost says that the submission is gone on which the operation counts until its
// point of no return; nil: it stands, or none is counted on.
func (r *run) lost() error {
	plan, intent := r.progress.Plan, r.state.Intent
	if plan == nil || plan.NoSavepoint || intent == nil || r.in.Request.Kind == job.Start {
		return nil
	}
	in := r.incidents.of(intent.Epoch)
	if in == nil {
		return nil
	}
	return failure.New(failure.JobFailed, "%s before this operation had touched the job", in).
		WithNext("what was prepared is removed; bring the job back from its newest checkpoint (sluice op start %s), then ask again", r.in.Job.Name)
}

// reason is why an operation ended before its point of no return: an incident
// ends it as a cancel does.
func (r *run) reason(err error) error {
	if failure.CodeOf(err) != failure.Canceled || r.canceled {
		return err
	}
	return orElse(r.lost(), err)
}

// reread answers a question about the stop: an incident of the job that was to be
// stopped may be the proof that was missed.
func (r *run) reread() {
	if r.news && r.asks == job.Stopping && r.mayDecide(OptionRetry) == nil {
		r.news = false
		r.take(Decision{OptionRetry, "the job's JobManager ended: the stop is looked at again"})
	}
}

// whileItStands runs the waits behind a submission. An incident of it ends them at
// once: the gate has failed. A rollback has its own ways to find out.
func (r *run) whileItStands(ctx workflow.Context, waits func(workflow.Context) error) error {
	if r.progress.Rollback != nil {
		return waits(ctx)
	}
	ctx, r.endWaits = workflow.WithCancel(ctx)
	defer func() { r.endWaits = nil }()
	if r.incidents.of(r.epoch) != nil { // it came with the submission's answer
		r.endWaits()
	}
	err := waits(ctx)
	if in := r.incidents.of(r.epoch); in != nil {
		return failure.New(failure.JobFailed, "%s before the submission was proven", in)
	}
	return err
}
