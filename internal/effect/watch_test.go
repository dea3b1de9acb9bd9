package effect

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/telemetry"
)

func TestEffectsAreCountedByOutcome(t *testing.T) {
	watched, err := telemetry.New("test", "1", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, failed := range []error{nil, nil, failure.New(failure.Unavailable, "away")} {
		_, err := Do(t.Context(), SubmitJob, "id", func(context.Context) (int, error) { return 1, failed })
		require.Equal(t, failed, err)
	}
	recorder := httptest.NewRecorder()
	watched.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text := recorder.Body.String()
	require.Contains(t, text, `sluice_effect_duration_seconds_count{effect="submit-job",outcome="ok"} 2`)
	require.Contains(t, text, `sluice_effect_duration_seconds_count{effect="submit-job",outcome="unavailable"} 1`)
	require.NotContains(t, text, `"id"`, "an id is no label")
	recorder = httptest.NewRecorder()
	watched.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/", nil))
	require.Equal(t, http.StatusNotFound, recorder.Code, "nothing else is served there")
}
