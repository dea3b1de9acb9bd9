package telemetry

import (
	"context"
	"net/http"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"sluice/internal/failure"
)

// Names of OpenTelemetry's semantic conventions.
const (
	ServiceName    = attribute.Key("service.name")
	ServiceVersion = attribute.Key("service.version")
)

// The variables of OpenTelemetry's specification that name a collector.
const (
	endpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesVariable   = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	protocolVariable = "OTEL_EXPORTER_OTLP_PROTOCOL"
)

// Collector is where the spans go, from the standard variables; "": nowhere.
// The worker tells it to its agents. Headers may hold secrets and are not passed on.
func Collector() string { return os.Getenv(endpointVariable) }

// tracing sends spans by OTLP over HTTP, in batches, in the background: a
// collector that is away costs nothing but the spans.
func tracing(about *resource.Resource) (*sdktrace.TracerProvider, error) {
	if os.Getenv(endpointVariable) == "" && os.Getenv(tracesVariable) == "" {
		return nil, nil //nolint:nilnil // "none" is an answer
	}
	if protocol := os.Getenv(protocolVariable); protocol != "" && protocol != "http/protobuf" {
		return nil, failure.New(failure.Invalid, "%s is %q: spans are sent by http/protobuf only", protocolVariable, protocol).
			WithNext("name the collector's OTLP/HTTP port (4318 by default) in %s", endpointVariable)
	}
	sender, err := otlptracehttp.New(context.Background()) // connects when there is something to send
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "%s", endpointVariable)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(sender), sdktrace.WithResource(about)), nil
}

// Extract gives ctx the caller's span, if the headers name one.
func Extract(ctx context.Context, header http.Header) context.Context {
	return otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(header))
}
