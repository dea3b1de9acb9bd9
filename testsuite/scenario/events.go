package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// Event is one of an operation's server-sent events.
type Event struct {
	Name string
	ID   string
	Operation
}

// Events reads an operation's stream behind the event last ("": from the present
// state) until until says so, and gives what came.
func (w *World) Events(id, last string, until func(Event) bool) []Event {
	w.T.Helper()
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server+"/v1/tenants/"+w.Tenant+"/operations/"+id+"/events", nil)
	require.NoError(w.T, err)
	request.Header.Set("Authorization", "Bearer "+w.token)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.T, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(w.T, http.StatusOK, response.StatusCode)
	require.Equal(w.T, "text/event-stream", response.Header.Get("Content-Type"))
	var all []Event
	var e Event
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			e = Event{Name: value}
		case "id":
			e.ID = value
		case "data":
			require.NoError(w.T, json.Unmarshal([]byte(value), &e.Operation))
			all = append(all, e)
			if until(e) {
				return all
			}
		}
	}
	require.FailNow(w.T, "the stream was cut", "%v", lines.Err())
	return nil
}
