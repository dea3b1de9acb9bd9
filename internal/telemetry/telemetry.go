// Package telemetry makes a process's metrics and traces: OpenTelemetry's SDK,
// the metrics served in Prometheus' format, the traces sent by OTLP where an
// endpoint is configured. It knows no metric of its own: each package declares
// what it counts, with OpenTelemetry's API.
//
// Labels have few values, known when the process starts: kinds, steps, effects,
// codes, tenants. What there are thousands of (jobs, operations, generations)
// stands in spans and log lines.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"sluice/internal/failure"
)

// Telemetry of one process.
type Telemetry struct {
	registry *prometheus.Registry
	meters   *sdk.MeterProvider
	spans    *trace.TracerProvider // nil: nobody wants them
}

// New makes it and installs it as the process's own (OpenTelemetry's globals),
// with the Go runtime's and the process's metrics. service is sluice-api, …
func New(service, version string, log *slog.Logger) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	about := describe(service, version)
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	t := &Telemetry{registry: registry, meters: sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithResource(about))}
	if t.spans, err = tracing(about); err != nil {
		return nil, err
	}
	t.install(log)
	return t, nil
}

func describe(service, version string) *resource.Resource {
	about := resource.NewSchemaless(ServiceName.String(service), ServiceVersion.String(version))
	// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go over ours; what can't be
	// read of them is left out.
	if merged, err := resource.Merge(about, resource.Environment()); err == nil {
		about = merged
	}
	return about
}

func (t *Telemetry) install(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	otel.SetMeterProvider(t.meters)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	if t.spans != nil {
		otel.SetTracerProvider(t.spans)
	}
}

// Tracing says whether spans are sent anywhere.
func (t *Telemetry) Tracing() bool { return t.spans != nil }

// Meter makes instruments; name is the package that counts.
func (t *Telemetry) Meter(name string) metric.Meter { return t.meters.Meter(name) }

// Handler serves the metrics; nothing else is served there.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{}))
	return mux
}

// Close sends the spans that are still here, as long as ctx allows.
func (t *Telemetry) Close(ctx context.Context) {
	if t.spans != nil {
		_ = t.spans.Shutdown(ctx)
	}
}

// Seconds are buckets from a quick call to a long savepoint.
var Seconds = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
