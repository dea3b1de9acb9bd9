package worker

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/telemetry"
	"sluice/internal/version"
	"sluice/workflows/upgrade"
)

// metrics of the worker. A retry never hides a bug: every failed attempt is
// counted under its code.
type metrics struct {
	telemetry *telemetry.Telemetry
	attempts  metric.Float64Histogram
	over      metric.Int64Counter
	took      metric.Float64Histogram
	steps     metric.Float64Histogram
	downtime  metric.Float64Histogram
}

func newMetrics(c config.Worker, log *slog.Logger) (*metrics, error) {
	t, err := telemetry.New("sluice-worker", version.Version, log)
	if err != nil {
		return nil, err
	}
	m := &metrics{telemetry: t}
	meter := t.Meter("sluice/worker")
	for _, h := range []struct {
		into       *metric.Float64Histogram
		name, what string
		buckets    metric.HistogramOption
	}{
		{&m.attempts, "sluice.worker.activity.duration", "Time of one attempt, by activity and failure code (ok: none)", telemetry.Seconds},
		{&m.took, "sluice.operation.duration", "Time of an operation from its run's start to its end, by kind and outcome", telemetry.Seconds},
		{&m.steps, "sluice.operation.step.duration", "Time of a step, by the operation's kind, step and its state", telemetry.Seconds},
		{&m.downtime, "sluice.operation.downtime", "Time from the stop sent to every vertex RUNNING again, by tenant, kind and strategy", downtimes},
	} {
		if *h.into, err = meter.Float64Histogram(h.name, metric.WithUnit("s"), metric.WithDescription(h.what), h.buckets); err != nil {
			return nil, failure.Wrap(failure.Internal, err, "metrics")
		}
	}
	if m.over, err = meter.Int64Counter("sluice.operations", metric.WithDescription("Operations that ended, by tenant, kind and outcome")); err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	m.begin(c)
	return m, nil
}

// downtimes are fine where the objective lies.
var downtimes = metric.WithExplicitBucketBoundaries(.25, .5, .75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 900, 3600)

// begin lets the counters start at 0: the first rollback of a process would
// otherwise be no increase to Prometheus.
func (m *metrics) begin(c config.Worker) {
	for _, tenant := range c.Tenants {
		for _, kind := range job.Kinds {
			for _, outcome := range outcomes {
				m.over.Add(context.Background(), 0, ended(tenant.Name, kind, outcome))
			}
		}
	}
}

// outcomes of an operation.
const rolledBack = "rolled-back"

var outcomes = []string{string(job.Committed), string(job.Failed), string(job.Canceled), rolledBack}

func outcome(p upgrade.Progress) string {
	if p.Rollback != nil && p.Phase == job.Failed {
		return rolledBack
	}
	return string(p.Phase)
}

func ended(tenant string, kind job.Kind, outcome string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("tenant", tenant), attribute.String("kind", string(kind)), attribute.String("outcome", outcome))
}

func (m *metrics) attempt(ctx context.Context, activity string, err error, took time.Duration) {
	code := "ok"
	if err != nil {
		code = string(failure.CodeOf(err))
	}
	m.attempts.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("activity", activity), attribute.String("code", code)))
}

// operation counts one that has ended, from what it told people of itself.
func (m *metrics) operation(p upgrade.Progress, took time.Duration) {
	ctx := context.Background()
	kind := attribute.String("kind", string(p.Kind))
	m.over.Add(ctx, 1, ended(p.Job.Tenant, p.Kind, outcome(p)))
	m.took.Record(ctx, took.Seconds(), metric.WithAttributes(kind, attribute.String("outcome", outcome(p))))
	for _, s := range p.Steps {
		m.steps.Record(ctx, float64(s.DurationMS)/1000, metric.WithAttributes(kind, attribute.String("step", s.Name), attribute.String("state", s.State)))
	}
	if p.DowntimeMS <= 0 {
		return
	}
	strategy := ""
	if p.Plan != nil {
		strategy = string(p.Plan.Strategy)
	}
	m.downtime.Record(ctx, float64(p.DowntimeMS)/1000, metric.WithAttributes(
		attribute.String("tenant", p.Job.Tenant), kind, attribute.String("strategy", strategy)))
}

func (m *metrics) handler() http.Handler { return m.telemetry.Handler() }
