package worker

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"sluice/internal/failure"
	"sluice/internal/telemetry"
)

// metrics of the worker. A retry never hides a bug: every failed attempt is
// counted under its code.
type metrics struct {
	telemetry *telemetry.Telemetry
	attempts  metric.Float64Histogram
}

func newMetrics() (*metrics, error) {
	t, err := telemetry.New()
	if err != nil {
		return nil, err
	}
	attempts, err := t.Meter("sluice/worker").Float64Histogram("sluice.worker.activity.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of one attempt, by activity and failure code (ok: none)"), telemetry.Seconds)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	return &metrics{telemetry: t, attempts: attempts}, nil
}

func (m *metrics) attempt(ctx context.Context, activity string, err error, took time.Duration) {
	code := "ok"
	if err != nil {
		code = string(failure.CodeOf(err))
	}
	m.attempts.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("activity", activity), attribute.String("code", code)))
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.telemetry.Handler())
	return mux
}
