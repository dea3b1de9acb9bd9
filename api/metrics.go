package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"sluice/internal/failure"
	"sluice/internal/telemetry"
)

// metrics of the api, served in Prometheus' format.
type metrics struct {
	telemetry *telemetry.Telemetry
	requests  metric.Float64Histogram
	uploaded  metric.Int64Counter
}

func newMetrics(t *telemetry.Telemetry) (*metrics, error) {
	meter := t.Meter("sluice/api")
	requests, err := meter.Float64Histogram("sluice.api.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to answer, by operation and status"), telemetry.Seconds)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	uploaded, err := meter.Int64Counter("sluice.api.artifact.bytes", metric.WithUnit("By"), metric.WithDescription("Bytes of artifacts stored"))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	uploaded.Add(context.Background(), 0) // from the start: a rate needs a first value
	return &metrics{telemetry: t, requests: requests, uploaded: uploaded}, nil
}

func (m *metrics) count(operation string, status int, took time.Duration) {
	m.requests.Record(context.Background(), took.Seconds(), metric.WithAttributes(
		attribute.String("operation", operation), attribute.String("status", strconv.Itoa(status))))
}

func (m *metrics) handler() http.Handler { return m.telemetry.Handler() }
