package effect

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/failure"
)

// The process installs OpenTelemetry's SDK (internal/telemetry); without it
// these do nothing.
var (
	tracer      = otel.Tracer("sluice/effect")
	duration, _ = otel.Meter("sluice/effect").Float64Histogram("sluice.effect.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of one call with an effect, by effect and outcome (ok or the failure's code)"),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800))
)

// watch begins a call; done ends it.
func watch(ctx context.Context, name Name, id string) (_ context.Context, done func(error)) {
	began := time.Now()
	ctx, span := tracer.Start(ctx, "effect "+string(name), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("sluice.effect", string(name)), attribute.String("sluice.effect.id", id)))
	return ctx, func(err error) {
		outcome := "ok"
		if err != nil {
			outcome = string(failure.CodeOf(err))
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
		duration.Record(context.WithoutCancel(ctx), time.Since(began).Seconds(), metric.WithAttributes(
			attribute.String("effect", string(name)), attribute.String("outcome", outcome)))
	}
}
