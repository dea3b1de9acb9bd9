//go:build contract

package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
)

// events reads an operation's stream to its end, taking it up again after each
// event, and gives what came.
func (s *stage) events(server *httptest.Server, id, last string, seen func(name, id string, o gen.Operation) (hangUp bool)) (next string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, server.URL+"/v1/tenants/shop/operations/"+id+"/events", nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+viewerToken)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := server.Client().Do(request)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	r := newReader(s.t, response)
	for {
		name, eventID, o := r.event()
		if eventID != "" {
			last = eventID
		}
		if seen(name, eventID, o) {
			return last
		}
	}
}

func TestEventsOfARealOperation(t *testing.T) {
	s := newStage(t)
	server := httptest.NewServer(s.api.web)
	t.Cleanup(server.Close)
	s.api.keepAlive = time.Hour

	var accepted gen.Accepted
	s.start(`{"kind":"start"}`, "k").json(http.StatusAccepted, &accepted)
	id := accepted.Operation
	worked := false
	last := s.events(server, id, "", func(name, _ string, o gen.Operation) bool {
		if name == "unavailable" && !worked { // nobody has begun it: said, not guessed
			worked = true
			require.NotEmpty(t, o.ProgressUnavailable)
			s.work()
		}
		return o.Phase == "preparing"
	})
	require.True(t, worked)

	// Taken up again: only what is newer.
	s.step()
	last = s.events(server, id, last, func(name, eventID string, o gen.Operation) bool {
		require.Equal(t, "progress", name)
		require.NotEqual(t, last, eventID)
		require.NotEmpty(t, o.Progress.Steps)
		var got gen.Operation
		s.do(viewerToken, "GET", "/v1/tenants/shop/operations/"+id, "").json(http.StatusOK, &got)
		require.Equal(t, got, o, "the same JSON")
		return true
	})
	s.step()
	ends := 0
	last = s.events(server, id, last, func(name, _ string, o gen.Operation) bool {
		if name == "end" {
			ends++
			require.True(t, o.Final)
			require.Equal(t, "committed", o.Phase)
			require.Equal(t, int64(1234), o.Progress.DowntimeMs)
		}
		return name == "end"
	})
	require.Equal(t, 1, ends)
	require.Equal(t, http.StatusNoContent, s.do(viewerToken, "GET", "/v1/tenants/shop/operations/"+id+"/events", "", "Last-Event-ID", last).Code)

	// Over already: its last state and the end, at once.
	var names []string
	s.events(server, id, "", func(name, _ string, _ gen.Operation) bool {
		names = append(names, name)
		return name == "end"
	})
	require.Equal(t, []string{"progress", "end"}, names)
	s.do(viewerToken, "GET", "/v1/tenants/shop/operations/01M83GB2NKMWNMPRPQ18S0919B/events", "").problem(failure.NotFound)
	require.Eventually(t, func() bool { return len(s.api.streams) == 0 }, 10*time.Second, time.Millisecond, "every stream is freed")
}
