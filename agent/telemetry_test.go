package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
)

// A command's span belongs to who put it, though it outlives the request.
func TestCommandIsInItsCallersTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	a := &Agent{}
	a.commands = registry(t, func(ctx context.Context, r *running) (any, error) {
		ctx, done := watch(ctx, r.Command)
		_, err := effect.Do(ctx, effect.SubmitJob, "id", func(context.Context) (struct{}, error) {
			return struct{}{}, failure.New(failure.Unknown, "no answer")
		})
		done(err)
		return nil, err
	})
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/commands/c", strings.NewReader(`{"id":"c","kind":"submit","operation":"o","generation":2}`))
	request.SetPathValue("id", "c")
	request.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	recorder := httptest.NewRecorder()
	a.putCommand(recorder, request)
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	require.Equal(t, agentapi.Failed, finished(t, a.commands, "c").Phase)

	found := spans.GetSpans()
	require.Len(t, found, 2)
	inner, outer := found[0], found[1]
	require.Equal(t, "agent submit", outer.Name)
	require.Equal(t, "b7ad6b7169203331", outer.Parent.SpanID().String())
	require.Equal(t, "effect submit-job", inner.Name)
	require.Equal(t, outer.SpanContext.SpanID(), inner.Parent.SpanID())
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", inner.SpanContext.TraceID().String())
	require.Equal(t, "unknown", outer.Status.Description)
}
