package agent

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/lease"
	"sluice/internal/pki"
)

const long = 20 * time.Second

func registry(t *testing.T, execute func(context.Context, *running) (any, error)) *commands {
	t.Helper()
	c := newCommands(execute)
	ctx, cancel := context.WithCancel(context.Background())
	c.start(ctx)
	t.Cleanup(func() { cancel(); c.wait() })
	return c
}

func finished(t *testing.T, c *commands, id string) agentapi.Status {
	t.Helper()
	for version := int64(0); ; {
		status, err := c.get(t.Context(), id, version, long)
		require.NoError(t, err)
		if status.Phase != agentapi.Running {
			return status
		}
		version = status.Version
	}
}

func TestCommandsRepeat(t *testing.T) {
	runs := 0
	c := registry(t, func(context.Context, *running) (any, error) { runs++; return agentapi.SoakOut{}, nil })
	command := agentapi.Command{ID: "a", Kind: agentapi.Soak, Soak: &agentapi.SoakIn{Seconds: 1}}
	_, err := c.put(t.Context(), command)
	require.NoError(t, err)
	done := finished(t, c, "a")
	require.Equal(t, agentapi.Done, done.Phase)

	same := agentapi.Command{ID: "a", Kind: agentapi.Soak, Soak: &agentapi.SoakIn{Seconds: 1}}
	again, err := c.put(t.Context(), same)
	require.NoError(t, err)
	require.Equal(t, done, again)
	require.Equal(t, 1, runs)
	same.Soak.Seconds = 2
	_, err = c.put(t.Context(), same)
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
	_, err = c.get(t.Context(), "b", 0, 0)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
}

// A verdict stays; a "not known yet" is asked again.
func TestCommandsRunAgain(t *testing.T) {
	for code, want := range map[failure.Code]int{
		failure.Unavailable: 2, failure.Unknown: 2, failure.Unproven: 2,
		failure.JobFailed: 1, failure.Refused: 1, failure.Incompatible: 1, failure.Digest: 1,
	} {
		t.Run(string(code), func(t *testing.T) {
			runs := 0
			c := registry(t, func(context.Context, *running) (any, error) { runs++; return nil, failure.New(code, "no") })
			for range 2 {
				_, err := c.put(t.Context(), agentapi.Command{ID: "a"})
				require.NoError(t, err)
				status := finished(t, c, "a")
				require.Equal(t, code, status.Failure.Code)
			}
			require.Equal(t, want, runs)
		})
	}
}

func TestCommandsLongPoll(t *testing.T) {
	step := make(chan string)
	c := registry(t, func(_ context.Context, r *running) (any, error) {
		for text := range step {
			r.progress(text)
		}
		return agentapi.SoakOut{}, nil
	})
	first, err := c.put(t.Context(), agentapi.Command{ID: "a"})
	require.NoError(t, err)
	step <- "one"
	next, err := c.get(t.Context(), "a", first.Version, long)
	require.NoError(t, err)
	require.Equal(t, "one", next.Progress)
	require.Greater(t, next.Version, first.Version)
	step <- "one" // no change
	same, err := c.get(t.Context(), "a", next.Version, 0)
	require.NoError(t, err)
	require.Equal(t, next, same)
	close(step)
	require.Equal(t, agentapi.Done, finished(t, c, "a").Phase)
}

func TestCommandsForget(t *testing.T) {
	c := registry(t, func(context.Context, *running) (any, error) { return 1, nil })
	for i := range maxKept + 50 {
		id := fmt.Sprint(i)
		_, err := c.put(t.Context(), agentapi.Command{ID: id})
		require.NoError(t, err)
		finished(t, c, id)
	}
	require.LessOrEqual(t, len(c.byID), maxKept)
	require.Equal(t, len(c.byID), len(c.order))
	_, err := c.get(t.Context(), "0", 0, 0)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
}

func TestCommandsEndWithTheAgent(t *testing.T) {
	c := newCommands(func(ctx context.Context, _ *running) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	_, err := c.put(t.Context(), agentapi.Command{ID: "a"})
	require.Equal(t, failure.Unavailable, failure.CodeOf(err), "not started")
	ctx, cancel := context.WithCancel(t.Context())
	c.start(ctx)
	_, err = c.put(t.Context(), agentapi.Command{ID: "a"})
	require.NoError(t, err)
	cancel()
	c.wait()
	require.Equal(t, failure.Unavailable, c.byID["a"].status.Failure.Code)
}

func TestAllowed(t *testing.T) {
	state := lease.State{
		Epoch: 5, Generations: []lease.Generation{{Number: 1, Standing: lease.Retired}, {Number: 2, Standing: lease.Active}},
		Intent: &lease.Intent{Epoch: 5, Operation: "op"},
	}
	held := state
	held.Hold = &lease.Hold{Operation: "op"}
	submit := func(operation string, epoch int64) agentapi.Command {
		return agentapi.Command{Kind: agentapi.Submit, Operation: operation, Generation: 2, Epoch: epoch - 1, Submit: &agentapi.SubmitIn{Epoch: epoch}}
	}
	for name, c := range map[string]struct {
		state   lease.State
		command agentapi.Command
		ok      bool
	}{
		"free":                       {state, agentapi.Command{Kind: agentapi.Soak, Operation: "x", Generation: 2, Epoch: 5}, true},
		"retired":                    {state, agentapi.Command{Kind: agentapi.Soak, Operation: "x", Generation: 1, Epoch: 5}, false},
		"never given":                {state, agentapi.Command{Kind: agentapi.Soak, Operation: "x", Generation: 3, Epoch: 5}, false},
		"held by it":                 {held, agentapi.Command{Kind: agentapi.Stop, Operation: "op", Generation: 2, Epoch: 5}, true},
		"held by another":            {held, agentapi.Command{Kind: agentapi.Soak, Operation: "x", Generation: 2, Epoch: 5}, false},
		"older epoch":                {held, agentapi.Command{Kind: agentapi.Stop, Operation: "op", Generation: 2, Epoch: 4}, false},
		"the Lease went back":        {held, agentapi.Command{Kind: agentapi.Stop, Operation: "op", Generation: 2, Epoch: 6}, false},
		"next submission":            {held, submit("op", 6), true},
		"repeated submission":        {held, submit("op", 5), true},
		"repeated after another":     {held, submit("op", 4), false},
		"another's submission again": {state, submit("x", 5), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := allowed(c.state, c.command)
			require.Equal(t, c.ok, err == nil, "%v", err)
			if err != nil {
				require.Equal(t, failure.Refused, failure.CodeOf(err))
			}
		})
	}
}

func TestPlainName(t *testing.T) {
	require.Equal(t, "count, output: Writer, output: Committer, trace",
		plainName("count<br/>:- output: Writer<br/>:  +- output: Committer<br/>+- trace<br/>"))
	require.Equal(t, "a -> b", plainName("a -&gt; b<br/>"))
}

func TestCheckRestored(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	in := func(path string) agentapi.AwaitIn { return agentapi.AwaitIn{FlinkJobID: id, RestorePath: path} }
	require.NoError(t, checkRestored(in("hdfs://nn/s/1"), "hdfs://nn/s/1/"))
	require.NoError(t, checkRestored(in("hdfs://nn/s/1"), "hdfs://nn/c/"+id+"/chk-7"), "it restarted since")
	require.NoError(t, checkRestored(in(""), ""))
	for restored, intended := range map[string]string{"": "hdfs://nn/s/1", "hdfs://nn/s/2": "hdfs://nn/s/1", "hdfs://nn/s/3": ""} {
		require.Equal(t, failure.Refused, failure.CodeOf(checkRestored(in(intended), restored)))
	}
}

func TestCheckPlace(t *testing.T) {
	in := agentapi.CheckpointIn{FlinkJobID: "f", Directory: "hdfs://nn:9000/sluice/jobs/u/checkpoints"}
	require.NoError(t, checkPlace(in, "hdfs://nn:9000/sluice/jobs/u/checkpoints/f/chk-1"))
	require.NoError(t, checkPlace(in, "hdfs://other/sluice/jobs/u/checkpoints/f/chk-1"), "the authority may be spelled otherwise")
	for _, external := range []string{"", "file:///tmp/f/chk-1", "hdfs://nn:9000/sluice/jobs/u/checkpoints/g/chk-1", "hdfs://nn:9000/sluice/jobs/v/checkpoints/f/chk-1"} {
		require.Equal(t, failure.Refused, failure.CodeOf(checkPlace(in, external)), external)
	}
}

// A newer worker's words: refused by a type of their own, never left out.
func TestWhatANewerWorkerSaysIsRefusedAsOutdated(t *testing.T) {
	a := &Agent{config: Config{Assignment: agentapi.Assignment{JobUID: "01J"}}}
	a.commands = registry(t, func(context.Context, *running) (any, error) { return nil, nil })
	for body, want := range map[string]string{
		`{"id":"a","kind":"soak","drainFirst":true}`:          `"drainFirst"`,
		`{"id":"a","kind":"soak","soak":{"seconds":1,"x":1}}`: `"x"`,
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/commands/a", strings.NewReader(body))
		request.Header.Set(agentapi.JobHeader, "01J")
		request.TLS = as(t, pki.Worker)
		recorder := httptest.NewRecorder()
		a.handler().ServeHTTP(recorder, request)
		require.Equal(t, strconv.Itoa(agentapi.Protocol), recorder.Header().Get(agentapi.ProtocolHeader))
		f := problem.Parse(recorder.Result())
		require.Equal(t, failure.Outdated, f.Code)
		require.Contains(t, f.Message, want)
		require.Contains(t, f.Next, "the job runs on")
	}
	_, err := a.checked(t.Context(), &running{Command: agentapi.Command{Kind: "dance"}})
	require.Equal(t, failure.Outdated, failure.CodeOf(err))
	recorder := httptest.NewRecorder()
	a.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/state", http.NoBody))
	require.Equal(t, http.StatusConflict, recorder.Code)
	require.NotEmpty(t, recorder.Header().Get(agentapi.ProtocolHeader), "also to who means another job")
}
