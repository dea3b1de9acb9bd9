// Package ontemporal carries traces through Temporal: a span of who starts a
// flow becomes the parent of the flow's, and that of its activities'. Packages
// without Temporal (the agent) use package telemetry only.
package ontemporal

import (
	"go.opentelemetry.io/otel"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"sluice/internal/telemetry"
)

// Interceptors are for a client's options; workers made of that client have them
// too. None without tracing: histories and calls are then as if this didn't exist.
func Interceptors(t *telemetry.Telemetry) []interceptor.ClientInterceptor {
	if !t.Tracing() {
		return nil
	}
	return []interceptor.ClientInterceptor{Interceptor()}
}

// Interceptor makes spans by OpenTelemetry's global provider. Queries have none:
// people's pages poll.
func Interceptor() interceptor.Interceptor {
	made, _ := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{ // it has no way to fail
		Tracer: otel.Tracer("sluice/temporal"), DisableQueryTracing: true, DisableBaggage: true,
		// A header that can't be read costs the trace, never the operation.
		AllowInvalidParentSpans: true,
	})
	return made
}
