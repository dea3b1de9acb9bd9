//nolint:bodyclose // close closes the stream's body, read that of every answer
package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
)

const (
	// maxSilence is three of the server's keep-alives: what is silent for longer is
	// dead, though nobody said so.
	maxSilence = 45 * time.Second
	maxEvent   = 64 << 20 // bytes, as of every answer
	eventType  = "text/event-stream"
)

// source gives an operation's states as they come: pushed by the server, or
// asked for by long polls where it has no events or something in between keeps
// them back.
type source struct {
	client  *apiclient.Client
	tenant  string
	id      string
	silence time.Duration

	polls  bool
	stream *events // nil: not connected
}

func (a *app) source(client *apiclient.Client, id string) *source {
	return &source{client: client, tenant: a.tenant, id: id, silence: maxSilence}
}

// next waits for a state that is newer than version. A stream that was cut is
// taken up again at once, if it had said anything.
func (s *source) next(ctx context.Context, version int64) (apiclient.Operation, error) {
	for {
		if s.polls {
			return s.poll(ctx, version)
		}
		if s.stream == nil {
			err := s.open(ctx, version)
			switch {
			case errors.Is(err, errFull):
				return s.poll(ctx, version) // the next time again
			case err != nil:
				return apiclient.Operation{}, err
			case s.polls:
				continue
			}
		}
		o, over, err := s.stream.next()
		if err == nil {
			if over {
				s.close()
			}
			return o, nil
		}
		said, mute := s.stream.said, s.stream.mute
		s.close()
		switch {
		case ctx.Err() != nil:
			return o, away(context.Canceled)
		case failure.CodeOf(err) == failure.Unknown:
			return o, err
		case mute: // not even its beginning came: something keeps it back
			s.polls = true
		case !said:
			return o, failure.New(failure.Unavailable, "the server ended the stream of events")
		}
	}
}

func (s *source) poll(ctx context.Context, version int64) (apiclient.Operation, error) {
	return read[apiclient.Operation](s.client.GetOperation(ctx, s.tenant, s.id, &apiclient.GetOperationParams{Wait: "20s", Version: version}))
}

// errFull: the server can't stream now.
var errFull = errors.New("no stream now")

// open connects to the events after version, or finds that there are none.
func (s *source) open(ctx context.Context, version int64) error {
	last := ""
	if version > 0 {
		last = strconv.FormatInt(version, 10)
	}
	asked, cancel := context.WithCancel(ctx)
	watchdog := time.AfterFunc(s.silence, cancel)
	response, err := s.client.WatchOperation(asked, s.tenant, s.id, &apiclient.WatchOperationParams{LastEventID: last},
		func(_ context.Context, request *http.Request) error {
			request.Header.Set("Accept", eventType+", application/problem+json")
			return nil
		})
	if err != nil {
		cancel()
		if s.polls = !watchdog.Stop() && ctx.Err() == nil; s.polls {
			return nil // something keeps even the beginning back
		}
		return away(err)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK && media == eventType {
		s.stream = newEvents(response, cancel, watchdog, s.silence)
		return nil
	}
	defer cancel()
	defer watchdog.Stop()
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		return errFull
	case response.StatusCode < http.StatusMultipleChoices, response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusMethodNotAllowed:
		s.polls = true // an older server; of an operation that isn't there the poll says so
		return nil
	}
	return refusal(response)
}

func (s *source) close() {
	if s.stream != nil {
		s.stream.close()
		s.stream = nil
	}
}

// events reads server-sent events of operations.
type events struct {
	response *http.Response
	lines    *bufio.Scanner
	cancel   context.CancelFunc
	silence  time.Duration
	watchdog *time.Timer

	said bool // something about the operation, or that it is quiet
	mute bool // nothing at all
}

func newEvents(response *http.Response, cancel context.CancelFunc, watchdog *time.Timer, silence time.Duration) *events {
	e := &events{response: response, lines: bufio.NewScanner(response.Body), cancel: cancel, watchdog: watchdog, silence: silence, mute: true}
	e.lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	return e
}

func (e *events) close() {
	e.watchdog.Stop()
	e.cancel()
	_ = e.response.Body.Close()
}

// next reads the next event; over says that it was the last. Its error is that of
// a connection that was cut, or Unknown where no Sluice speaks.
func (e *events) next() (o apiclient.Operation, over bool, err error) {
	name, data := "", ""
	for e.lines.Scan() {
		e.watchdog.Reset(e.silence)
		e.mute = false
		line := e.lines.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != "":
			if err := json.Unmarshal([]byte(data), &o); err != nil {
				return o, false, foreign(e.response)
			}
			e.said = true
			return o, name == "end", nil
		case line == "":
			name = ""
		case field == "": // a comment
			e.said = true
		case field == "event":
			name = value
		case field == "data":
			data += value
		}
	}
	if err := e.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return o, false, foreign(e.response)
		}
		return o, false, err
	}
	return o, false, errors.New("the stream was closed")
}
