package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"sluice/internal/failure"
)

// metrics of the api, served in Prometheus' format.
type metrics struct {
	registry *prometheus.Registry
	requests metric.Float64Histogram
	uploaded metric.Int64Counter
}

func newMetrics() (*metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("sluice/api")
	requests, err := meter.Float64Histogram("sluice.api.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to answer, by operation and status"),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	uploaded, err := meter.Int64Counter("sluice.api.artifact.bytes", metric.WithUnit("By"), metric.WithDescription("Bytes of artifacts stored"))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	return &metrics{registry: registry, requests: requests, uploaded: uploaded}, nil
}

func (m *metrics) count(operation string, status int, took time.Duration) {
	m.requests.Record(context.Background(), took.Seconds(), metric.WithAttributes(
		attribute.String("operation", operation), attribute.String("status", strconv.Itoa(status))))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
