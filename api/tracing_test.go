package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A request is a span below its caller's, named by the operation, never by the
// address; probes are none.
func TestRequestIsInItsCallersTrace(t *testing.T) {
	w := assemble(t, nil, nil)
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	w.do("", http.MethodGet, "/healthz", "")
	w.do(viewerToken, http.MethodGet, "/v1/tenants/shop/jobs", "", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

	found := spans.GetSpans()
	require.Len(t, found, 1)
	require.Equal(t, "api listJobs", found[0].Name)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", found[0].SpanContext.TraceID().String())
	require.Equal(t, "b7ad6b7169203331", found[0].Parent.SpanID().String())
	require.Equal(t, codes.Error, found[0].Status.Code, "the record store is away")
}
