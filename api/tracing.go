package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"sluice/internal/telemetry"
)

var tracer = otel.Tracer("sluice/api")

// startSpan begins the request's span, below the caller's where it names one, and
// puts it into the request's context: what the request starts is traced under it.
func startSpan(c echo.Context) trace.Span {
	request := c.Request()
	if !strings.HasPrefix(request.URL.Path, "/v1/") { // probes come every second
		return trace.SpanFromContext(context.Background())
	}
	ctx, span := tracer.Start(telemetry.Extract(request.Context(), request.Header), request.Method, trace.WithSpanKind(trace.SpanKindServer))
	c.SetRequest(request.WithContext(ctx))
	return span
}

// endSpan names it by the operation of the API: the address is the caller's text.
func endSpan(c echo.Context, span trace.Span) {
	operation, _ := c.Get(operationKey).(string)
	if operation != "" {
		span.SetName("api " + operation)
	}
	status := c.Response().Status
	span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("sluice.request", requestID(c)))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}
