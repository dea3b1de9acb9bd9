// Package telemetry makes a process's metrics: OpenTelemetry instruments, served
// in Prometheus' format. It knows no metric of its own; each process declares
// what it counts.
package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"sluice/internal/failure"
)

// Telemetry of one process.
type Telemetry struct {
	registry *prometheus.Registry
	provider *sdk.MeterProvider
}

// New makes it, with the Go runtime's and the process's own metrics.
func New() (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "metrics")
	}
	return &Telemetry{registry: registry, provider: sdk.NewMeterProvider(sdk.WithReader(reader))}, nil
}

// Meter makes instruments; name is the package that counts.
func (t *Telemetry) Meter(name string) metric.Meter { return t.provider.Meter(name) }

// Handler serves them.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Seconds are buckets from a quick call to a long savepoint.
var Seconds = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
