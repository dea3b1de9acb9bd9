package telemetry

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"

	"sluice/internal/failure"
)

func TestSpansGoWhereTheStandardVariablesSay(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	without, err := New("sluice-test", "1", log)
	require.NoError(t, err)
	require.False(t, without.Tracing())

	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	with, err := New("sluice-test", "1", log)
	require.NoError(t, err)
	require.True(t, with.Tracing())
	require.Equal(t, collector.URL, Collector())
	_, span := otel.Tracer("test").Start(t.Context(), "one")
	span.End()
	with.Close(t.Context())
	select {
	case path := <-got:
		require.Equal(t, "/v1/traces", path)
	case <-time.After(10 * time.Second):
		t.Fatal("no span arrived")
	}

	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err = New("sluice-test", "1", log)
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}
