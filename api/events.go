package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/store"
)

// Events of a stream.
const (
	eventProgress    = "progress"
	eventEnd         = "end"
	eventUnavailable = "unavailable"
	endSuffix        = "-end" // of the end's id: who has seen it needs nothing more
)

const (
	// maxStreams bounds the streams of this process: each waits at Temporal.
	maxStreams = 1000
	// keepAlive is how long a stream may be silent: proxies cut what is silent for
	// a minute, and a reader can tell a quiet operation from a dead connection.
	keepAlive = 15 * time.Second
	// streamTime ends a stream, so that a token that was taken back ends too.
	streamTime = 30 * time.Minute
	// streamStall is how long a reader may take nothing.
	streamStall = 30 * time.Second
)

// recordAway is shown while the record store is: an end can't be told from a run
// that was ended from outside.
const recordAway = "the record store doesn't answer: what runs goes on, and is shown when it is back"

// WatchOperation streams an operation's progress as server-sent events.
func (a *API) WatchOperation(ctx context.Context, request gen.WatchOperationRequestObject) (gen.WatchOperationResponseObject, error) {
	last, ended, err := lastEvent(request.Params.LastEventID)
	if err != nil {
		return nil, err
	}
	row, err := a.store.Operation(ctx, request.Tenant, request.Operation)
	if err != nil {
		return nil, err
	}
	if ended && row.Phase.Final() {
		return gen.WatchOperation204Response{}, nil
	}
	return &stream{api: a, ctx: ctx, last: last, follow: func(ctx context.Context, tell func(gen.Operation)) { a.track(ctx, row, tell) }}, nil
}

// lastEvent reads a Last-Event-ID: the version that was seen, and whether it was
// the end's.
func lastEvent(id string) (version int64, ended bool, err error) {
	if id == "" {
		return 0, false, nil
	}
	digits, ended := strings.CutSuffix(id, endSuffix)
	version, err = strconv.ParseInt(digits, 10, 64)
	if err != nil || version < 0 {
		return 0, false, failure.New(failure.Invalid, "the stream can't be taken up again").
			WithFields(failure.Field{Name: "Last-Event-ID", Reason: "is not the id of an event of this stream", Next: "leave it out to begin with the present state"})
	}
	return version, ended, nil
}

// track tells how an operation stands, at once and after each change, until it is
// over or ctx ends. It follows the run's history as a long poll does.
func (a *API) track(ctx context.Context, row store.Operation, tell func(gen.Operation)) {
	over := false
	look := func() (enough bool) {
		o := a.fromRow(row)
		if again, err := a.store.Operation(ctx, row.Tenant, row.ID); err == nil {
			row, o = again, a.show(ctx, again)
		} else {
			o.Phase, o.ProgressUnavailable = unknownPhase, recordAway
		}
		if ctx.Err() != nil { // what it says then is our own giving up
			return true
		}
		tell(o)
		over = o.Final
		return over || o.Phase == unknownPhase
	}
	// It begins within a few hundred ms; whoever is away is so for longer.
	const first, away, most = 50 * time.Millisecond, time.Second, 10 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		began := time.Now()
		if row.Run() == "" || row.Phase.Final() { // no run of its own to follow
			look()
		} else {
			a.follow(ctx, row, look)
		}
		if over {
			return
		}
		if row.Run() != "" {
			wait = max(wait, away)
			if time.Since(began) > most {
				wait = away
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// stream is an answer that goes on until the operation is over.
type stream struct {
	api    *API
	ctx    context.Context //nolint:containedctx // the request's: an answer is written when its handler has returned
	last   int64           // version that the reader has
	follow func(context.Context, func(gen.Operation))

	unseen string // the event "unavailable" that stands; "": somebody can say
}

// VisitWatchOperationResponse writes events until the end, the reader's going or
// ours. The reader may be slower than the operation: only the newest state waits
// for it, and one that takes nothing for a while is cut off.
func (s *stream) VisitWatchOperationResponse(w http.ResponseWriter) error {
	select {
	case s.api.streams <- struct{}{}:
		defer func() { <-s.api.streams }()
	default:
		return failure.New(failure.Unavailable, "%d streams are open already", maxStreams).WithNext("ask with wait and version instead")
	}
	var following sync.WaitGroup
	defer following.Wait()
	ctx, cancel := context.WithTimeout(s.ctx, streamTime)
	defer cancel()
	newest := make(chan gen.Operation, 1)
	following.Go(func() { s.follow(ctx, func(o gen.Operation) { replace(newest, o) }) })

	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set(echo.HeaderCacheControl, "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	write := writer(w, s.api.streamStall)
	err := write("retry: 1000\n\n")
	quiet := time.NewTicker(s.api.keepAlive)
	defer quiet.Stop()
	for over := false; err == nil && !over; {
		text := ""
		select {
		case <-ctx.Done():
			return nil
		case <-s.api.leaving:
			return nil
		case o := <-newest:
			text, over = s.say(o)
		case <-quiet.C:
			if text = s.unseen; text == "" {
				text = ": all is quiet\n\n"
			}
		}
		if text != "" {
			err = write(text)
			quiet.Reset(s.api.keepAlive)
		}
	}
	return nil // a reader that went away is no error of ours
}

// replace puts o where only the newest waits; there is one sender.
func replace(newest chan gen.Operation, o gen.Operation) {
	select {
	case <-newest:
	default:
	}
	newest <- o
}

// writer writes and flushes within a time: the server has no deadline of its own
// for a stream, and the door's would cut it.
func writer(w http.ResponseWriter, stall time.Duration) func(string) error {
	control := http.NewResponseController(w)
	if response, ok := w.(*echo.Response); ok { // its Flush keeps errors for itself
		control = http.NewResponseController(response.Writer)
	}
	return func(text string) error {
		_ = control.SetWriteDeadline(time.Now().Add(stall))
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		return control.Flush()
	}
}

// say gives the events for a state, "" when the reader has it.
func (s *stream) say(o gen.Operation) (text string, over bool) {
	data, err := json.Marshal(o)
	if err != nil {
		s.api.log.Error("an operation can't be shown", "operation", o.Operation, "error", err)
		return "", false
	}
	known := o.Progress.Version > 0
	if known && o.Progress.Version != s.last {
		s.last = o.Progress.Version
		text = event(eventProgress, strconv.FormatInt(s.last, 10), data)
	}
	if o.Final {
		return text + event(eventEnd, strconv.FormatInt(s.last, 10)+endSuffix, data), true
	}
	before := s.unseen
	s.unseen = ""
	if !known && o.ProgressUnavailable != "" {
		s.unseen = event(eventUnavailable, "", data)
		if s.unseen != before && o.Phase == unknownPhase { // what has not begun is said if it stays so
			return s.unseen, false
		}
	}
	return text, false
}

func event(name, id string, data []byte) string {
	if id != "" {
		name += "\nid: " + id
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, data)
}
