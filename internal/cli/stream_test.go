package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// connection is what a server says on one connection to a stream.
type connection func(write func(format string, args ...any), r *http.Request)

// streams answers the connections to an operation's events, one after the other.
func (s *server) streams(connections ...connection) (last *[]string) {
	last = &[]string{}
	s.mux.HandleFunc("GET /v1/tenants/shop/operations/01OP/events", func(w http.ResponseWriter, r *http.Request) {
		*last = append(*last, r.Header.Get("Last-Event-ID"))
		next := connections[min(len(*last), len(connections))-1]
		w.Header().Set("Content-Type", "text/event-stream")
		next(func(format string, args ...any) {
			_, _ = fmt.Fprintf(w, format, args...)
			_ = http.NewResponseController(w).Flush()
		}, r)
	})
	return last
}

func progress(name string, o apiclient.Operation) string {
	data, _ := json.Marshal(o)
	return fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", name, o.Progress.Version, data)
}

func TestWatchFollowsTheEventsOverACut(t *testing.T) {
	s := serve(t)
	done := apiclient.Step{Name: "plan", State: "done", DurationMs: 340, Detail: "warm"}
	end := operation("committed", 9, done, apiclient.Step{Name: "prepare", State: "done", DurationMs: 8200})
	last := s.streams(func(write func(string, ...any), _ *http.Request) {
		write("retry: 1000\n\n: all is quiet\n\n")
		write("%s", progress("progress", operation("preparing", 2, done)))
		write("event: progress\nid: 3\ndata: {\"half") // cut within an event
	}, func(write func(string, ...any), _ *http.Request) {
		write("retry: 1000\n\n%s", progress("progress", end)[:20])
		write("%s%s", progress("progress", end)[20:], progress("end", end))
	})
	code, out, errors := sluice(t, "op", "watch", "01OP")
	require.Equal(t, exitOK, code, errors)
	require.Equal(t, []string{"ok plan 340ms warm", "ok prepare 8.2s", "upgrade shop/orders: committed", "Temporal http://ui/run"}, lines(out))
	require.Equal(t, []string{"", "2"}, *last, "only what is newer is asked for")
	require.Len(t, s.asked, 2)
}

func TestWatchWaitsForWhoeverCanSay(t *testing.T) {
	s := serve(t)
	away := operation("unknown", 0)
	away.ProgressUnavailable = "the workers don't answer"
	s.streams(func(write func(string, ...any), _ *http.Request) {
		write("%s", progress("unavailable", away))
		write("%s", progress("progress", operation("proving", 3)))
		write("%s", progress("end", operation("failed", 4)))
	})
	code, out, _ := sluice(t, "op", "watch", "01OP")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "the workers don't answer", lines(out)[0])
	require.Len(t, s.asked, 1)
}

func TestWatchEndsAtAQuestionAndHangsUp(t *testing.T) {
	s := serve(t)
	hungUp := make(chan struct{})
	s.streams(func(write func(string, ...any), r *http.Request) {
		write("%s", progress("progress", operation("waiting", 3)))
		<-r.Context().Done()
		close(hungUp)
	})
	code, _, _ := sluice(t, "op", "watch", "01OP")
	require.Equal(t, exitWaiting, code)
	<-hungUp
}

func TestWatchPollsWhereEventsCannotBeHad(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an older server": func(w http.ResponseWriter, r *http.Request) {
			_ = problem.Write(w, failure.New(failure.NotFound, "there is nothing at this address"), r.URL.Path)
		},
		"full": func(w http.ResponseWriter, r *http.Request) {
			_ = problem.Write(w, failure.New(failure.Unavailable, "too many"), r.URL.Path)
		},
		"something else": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		s := serve(t)
		s.mux.HandleFunc("GET /v1/tenants/shop/operations/01OP/events", answer)
		s.json("GET /v1/tenants/shop/operations/01OP", http.StatusOK, operation("preparing", 2), operation("committed", 3))
		code, out, _ := sluice(t, "op", "watch", "01OP")
		require.Equal(t, exitOK, code, name)
		require.Contains(t, out, "committed", name)
	}
	s := serve(t)
	s.problem("GET /v1/tenants/shop/operations/01OP/events", failure.New(failure.Forbidden, "no"))
	code, _, _ := sluice(t, "op", "watch", "01OP")
	require.Equal(t, exitNotFound, code)
	require.Len(t, s.asked, 1)
}

// A proxy may keep back what isn't finished, a connection may die without a word.
func TestASilentStreamIsGivenUp(t *testing.T) {
	s := serve(t)
	last := s.streams(
		func(write func(string, ...any), r *http.Request) {
			write("%s", progress("progress", operation("preparing", 2)))
			<-r.Context().Done()
		},
		func(_ func(string, ...any), r *http.Request) { <-r.Context().Done() },
	)
	s.json("GET /v1/tenants/shop/operations/01OP", http.StatusOK, operation("stopping", 3))
	a := &app{tenant: "shop", server: s.URL}
	client, err := a.client()
	require.NoError(t, err)
	states := a.source(client, "01OP")
	states.silence = 100 * time.Millisecond
	defer states.close()
	o, err := states.next(t.Context(), 0)
	require.NoError(t, err)
	require.EqualValues(t, 2, o.Progress.Version)
	o, err = states.next(t.Context(), 2)
	require.NoError(t, err)
	require.EqualValues(t, 3, o.Progress.Version)
	require.True(t, states.polls)
	require.Equal(t, []string{"", "2"}, *last)
}

func TestAnInterruptedWatchSaysSo(t *testing.T) {
	s := serve(t)
	ctx, interrupt := context.WithCancel(t.Context())
	s.streams(func(_ func(string, ...any), r *http.Request) {
		interrupt()
		<-r.Context().Done()
	})
	a := &app{tenant: "shop", server: s.URL}
	client, err := a.client()
	require.NoError(t, err)
	states := a.source(client, "01OP")
	defer states.close()
	_, err = states.next(ctx, 0)
	require.Equal(t, failure.Canceled, failure.CodeOf(err))
}
