package agent

import (
	"context"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/telemetry"
)

var (
	tracer      = otel.Tracer("sluice/agent")
	duration, _ = otel.Meter("sluice/agent").Float64Histogram("sluice.agent.command.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of a command, by kind and failure code (ok: none)"), telemetry.Seconds)
)

// watch begins a command's span, below the caller's; done ends it and counts the
// command.
func watch(ctx context.Context, command agentapi.Command) (_ context.Context, done func(error)) {
	kind := string(command.Kind)
	if _, known := kinds[command.Kind]; !known {
		kind = "unknown" // the caller's text is no label
	}
	began := time.Now()
	ctx, span := tracer.Start(ctx, "agent "+kind, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("sluice.command", command.ID), attribute.String("sluice.operation", command.Operation), attribute.Int("sluice.generation", command.Generation)))
	return ctx, func(err error) {
		code := "ok"
		if err != nil {
			code = string(failure.CodeOf(err))
			span.SetStatus(codes.Error, code)
		}
		span.End()
		duration.Record(context.WithoutCancel(ctx), time.Since(began).Seconds(), metric.WithAttributes(
			attribute.String("kind", kind), attribute.String("code", code)))
	}
}

// scrape serves the metrics until the returned function is called; there is
// nothing to stop when no address is assigned.
func (a *Agent) scrape(ctx context.Context) (stop func(), err error) {
	if a.config.Assignment.MetricsListen == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.Assignment.MetricsListen)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "listen on %s", a.config.Assignment.MetricsListen)
	}
	server := &http.Server{Handler: a.telemetry.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}

// flushTime is for the last spans of an agent that ends.
const flushTime = 2 * time.Second

func (a *Agent) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	a.telemetry.Close(ctx)
}
