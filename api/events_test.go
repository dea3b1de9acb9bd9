package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
)

// told is an operation as follow tells it.
func told(version int64, phase string, final bool) gen.Operation {
	return gen.Operation{Operation: "01OP", Phase: phase, Final: final, Progress: gen.Progress{Operation: "01OP", Phase: phase, Version: version}}
}

// broadcast is a server whose operation is told by a test, through the same
// server, door and deadlines as the real one's.
type broadcast struct {
	*world
	*httptest.Server
	tell    chan gen.Operation
	stopped chan struct{} // one for each follow that ended
}

func broadcasts(t *testing.T, quiet, stall time.Duration) *broadcast {
	t.Helper()
	b := &broadcast{world: assemble(t, nil, nil), tell: make(chan gen.Operation), stopped: make(chan struct{}, 100)}
	b.api.keepAlive, b.api.streamStall = quiet, stall
	follow := func(ctx context.Context, tell func(gen.Operation)) {
		defer func() { b.stopped <- struct{}{} }()
		for {
			select {
			case <-ctx.Done():
				return
			case o := <-b.tell:
				tell(o)
			}
		}
	}
	b.api.web.GET("/stream", func(c echo.Context) error {
		deadlines(c, 200*time.Millisecond, 200*time.Millisecond) // the door's, shortened
		readFreely(c)
		last, _, err := lastEvent(c.Request().Header.Get("Last-Event-ID"))
		if err != nil {
			return err
		}
		return (&stream{api: b.api, ctx: c.Request().Context(), last: last, follow: follow}).VisitWatchOperationResponse(c.Response())
	})
	b.Server = httptest.NewUnstartedServer(nil)
	b.Config = b.api.server(b.api.web)
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// reader is one connection to a stream.
type reader struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Reader
	hangUp   context.CancelFunc
}

func (b *broadcast) connect(last string) *reader {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+"/stream", nil)
	require.NoError(b.t, err)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := b.Client().Do(request)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { cancel(); _ = response.Body.Close() })
	r := newReader(b.t, response)
	r.hangUp = cancel
	return r
}

func newReader(t *testing.T, response *http.Response) *reader {
	t.Helper()
	r := &reader{t: t, response: response, lines: bufio.NewReader(response.Body)}
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(t, []string{"retry: 1000"}, r.block())
	return r
}

// block reads lines up to an empty one.
func (r *reader) block() []string {
	r.t.Helper()
	var lines []string
	for {
		line, err := r.lines.ReadString('\n')
		require.NoError(r.t, err)
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

// event reads one, and its operation.
func (r *reader) event() (name, id string, o gen.Operation) {
	r.t.Helper()
	for _, line := range r.block() {
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			require.NoError(r.t, json.Unmarshal([]byte(value), &o))
		}
	}
	return name, id, o
}

func (r *reader) ends() {
	r.t.Helper()
	rest, err := io.ReadAll(r.lines)
	require.NoError(r.t, err, "the server ends it, it isn't cut")
	require.Empty(r.t, rest)
}

func (b *broadcast) freed() {
	b.t.Helper()
	select {
	case <-b.stopped:
	case <-time.After(10 * time.Second):
		buffer := make([]byte, 1<<16)
		b.t.Fatalf("nobody stopped following:\n%s", buffer[:runtime.Stack(buffer, true)])
	}
	require.Eventually(b.t, func() bool { return len(b.api.streams) == 0 }, 10*time.Second, time.Millisecond)
}

func TestEachChangeIsOneEvent(t *testing.T) {
	b := broadcasts(t, time.Hour, time.Hour)
	r := b.connect("")
	for _, version := range []int64{1, 2, 7} {
		b.tell <- told(version, "preparing", false)
		name, id, o := r.event()
		require.Equal(t, []string{"progress", itoa(int(version))}, []string{name, id})
		require.Equal(t, told(version, "preparing", false), o, "the same JSON as that of the operation")
		b.tell <- told(version, "preparing", false) // the same again is no change
	}
	b.tell <- told(9, "committed", true)
	name, id, _ := r.event()
	require.Equal(t, []string{"progress", "9"}, []string{name, id})
	name, id, o := r.event()
	require.Equal(t, []string{"end", "9-end"}, []string{name, id})
	require.True(t, o.Final)
	r.ends()
	b.freed()
}

func TestAStreamIsTakenUpWhereItWasLeft(t *testing.T) {
	b := broadcasts(t, time.Hour, time.Hour)
	r := b.connect("")
	b.tell <- told(3, "preparing", false)
	_, id, _ := r.event()
	require.Equal(t, "3", id)
	r.hangUp()
	b.freed()

	r = b.connect(id)
	b.tell <- told(3, "preparing", false) // it has that
	b.tell <- told(5, "stopping", false)
	_, id, _ = r.event()
	require.Equal(t, "5", id, "nothing twice")
	r.hangUp()
	b.freed()

	r = b.connect(id)
	b.tell <- told(5, "committed", true) // only the record was missing
	name, id, o := r.event()
	require.Equal(t, []string{"end", "5-end"}, []string{name, id})
	require.True(t, o.Final)
	r.ends()
	b.freed()

	r = b.connect("700") // another operation's
	b.tell <- told(5, "stopping", false)
	_, id, _ = r.event()
	require.Equal(t, "5", id)
	r.hangUp()
	b.freed()
}

func TestAQuietStreamLivesOnBeyondTheDoorsDeadlines(t *testing.T) {
	b := broadcasts(t, 50*time.Millisecond, time.Hour)
	r := b.connect("")
	for range 10 { // 500 ms: the deadlines of the door were 200
		require.Equal(t, []string{": all is quiet"}, r.block())
	}
	b.tell <- told(0, "planning", false) // it has not said anything yet
	require.Equal(t, []string{": all is quiet"}, r.block())
	soon := told(0, "planning", false)
	soon.ProgressUnavailable = "the operation is about to begin"
	b.tell <- soon
	name := ""
	for name == "" { // once it stands for a while
		name, _, _ = r.event()
	}
	require.Equal(t, "unavailable", name)
	away := told(0, "unknown", false)
	away.ProgressUnavailable = "the workers don't answer"
	b.tell <- away
	for phase := ""; phase != "unknown"; {
		var o gen.Operation
		_, _, o = r.event()
		phase = o.Phase
	}
	for range 3 { // told, and repeated as long as it stands
		name, id, o := r.event()
		require.Equal(t, []string{"unavailable", ""}, []string{name, id}, "without an id: the reader still has what it had")
		require.Equal(t, "unknown", o.Phase)
	}
	b.tell <- told(4, "proving", false)
	for name = "unavailable"; name == "unavailable"; {
		name, _, _ = r.event()
	}
	require.Equal(t, "progress", name)
	require.Equal(t, []string{": all is quiet"}, r.block())
}

// A reader that takes nothing gets the newest state later, or is cut; the
// operation never waits for it.
func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	b := broadcasts(t, time.Hour, 300*time.Millisecond)
	dialer := net.Dialer{}
	connection, err := dialer.DialContext(t.Context(), "tcp", b.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	require.NoError(t, connection.(*net.TCPConn).SetReadBuffer(4<<10))
	_, err = io.WriteString(connection, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	large := told(0, "preparing", false)
	large.Progress.Evidence = []string{strings.Repeat("x", 1<<20)}
	began := time.Now()
	for version := int64(1); ; version++ {
		large.Progress.Version = version
		select {
		case b.tell <- large:
			continue
		case <-b.stopped:
		case <-time.After(10 * time.Second):
			t.Fatal("telling waited for the reader")
		}
		break
	}
	require.Less(t, time.Since(began), 30*time.Second)
	require.Eventually(t, func() bool { return len(b.api.streams) == 0 }, 10*time.Second, time.Millisecond)
}

func TestStreamsEndWhenTheProcessStops(t *testing.T) {
	b := broadcasts(t, time.Hour, time.Hour)
	r := b.connect("")
	close(b.api.leaving)
	r.ends()
	b.freed()
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	b := broadcasts(t, time.Hour, time.Hour)
	b.api.streams = make(chan struct{}, 1)
	r := b.connect("")
	b.do("", "GET", "/stream", "").problem(failure.Unavailable)
	r.hangUp()
	b.freed()
	b.connect("")
}

func TestLastEventID(t *testing.T) {
	for id, want := range map[string]struct {
		version int64
		ended   bool
	}{"": {}, "0": {}, "17": {17, false}, "17-end": {17, true}} {
		version, ended, err := lastEvent(id)
		require.NoError(t, err)
		require.Equal(t, want.version, version)
		require.Equal(t, want.ended, ended)
	}
	w := assemble(t, nil, nil)
	const path = "/v1/tenants/shop/operations/01M83GB2NKMWNMPRPQ18S0919B/events"
	for _, id := range []string{"x", "-1", "-end", "1 2", "1-end-end", "99999999999999999999"} {
		p := w.do(viewerToken, "GET", path, "", "Last-Event-ID", id).problem(failure.Invalid)
		require.Equal(t, []string{"Last-Event-ID"}, fieldNames(p), id)
	}
	w.do(viewerToken, "GET", path, "").problem(failure.Unavailable) // the record store is away
}
