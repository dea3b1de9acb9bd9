package agentapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/job"
)

func serve(t *testing.T, handle http.HandlerFunc) Endpoint {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return Endpoint{URL: server.URL, JobUID: "01J"}
}

func write(w http.ResponseWriter, status Status) { _ = json.NewEncoder(w).Encode(status) }

var command = Command{ID: "op-soak-1", Kind: Soak, Soak: &SoakIn{Seconds: 1}}

// The agent restarts between two polls: the command is put again.
func TestRunPutsAgain(t *testing.T) {
	var puts, gets atomic.Int32
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(JobHeader) != "01J" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		switch {
		case r.Method == http.MethodPut:
			puts.Add(1)
			write(w, Status{ID: command.ID, Phase: Running, Version: 1})
		case gets.Add(1) == 1:
			_ = problem.Write(w, failure.New(failure.NotFound, "don't know it"), r.URL.Path)
		default:
			write(w, Status{ID: command.ID, Phase: Done, Version: 2, Result: json.RawMessage(`{"restarts":3}`)})
		}
	})
	var seen []Phase
	out, err := Run[SoakOut](t.Context(), NewClient(nil), endpoint, command, func(s Status) { seen = append(seen, s.Phase) })
	require.NoError(t, err)
	require.Equal(t, int64(3), out.Restarts)
	require.EqualValues(t, 2, puts.Load())
	require.Equal(t, []Phase{Running, Running, Done}, seen)
}

func TestRunReturnsTheCommandsFailure(t *testing.T) {
	want := failure.New(failure.JobFailed, "it failed").With("exception", "boom").WithNext("look")
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, Status{ID: command.ID, Phase: Failed, Version: 2, Failure: want})
	})
	_, err := Run[SoakOut](t.Context(), NewClient(nil), endpoint, command, nil)
	require.Equal(t, want, failure.Of(err))
}

func TestRunReturnsTheAgentsRefusal(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = problem.Write(w, failure.New(failure.Conflict, "another body"), r.URL.Path)
	})
	_, err := Run[SoakOut](t.Context(), NewClient(nil), endpoint, command, nil)
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
}

// A proxy's 404 is not the agent's: it says nothing about the command.
func TestRunDistrustsStrangers(t *testing.T) {
	endpoint := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no route", http.StatusNotFound) })
	client := NewClient(nil)
	client.Patience = time.Nanosecond
	_, err := Run[SoakOut](t.Context(), client, endpoint, command, nil)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run[SoakOut](ctx, NewClient(nil), Endpoint{URL: "http://127.0.0.1:1"}, command, nil)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
}

func TestAssignment(t *testing.T) {
	in := Assignment{
		JobUID: "01J", Tenant: "shop", Job: "orders", Namespace: "shop", Site: "dc1", Generation: 7,
		JobManagerURL: "https://orders-g7-jobmanager:8081", HDFSURI: "hdfs://nn:9000",
		HDFS: HDFS{NameNodes: []string{"nn:9000"}, User: "sluice"},
	}
	data, err := in.YAML()
	require.NoError(t, err)
	out, err := ParseAssignment(data)
	require.NoError(t, err)
	in.PrimerJar, in.Listen = PrimerPath, ":8480"
	require.Equal(t, in, out)

	for name, text := range map[string]string{
		"unknown key": string(data) + "\nfoo: bar\n", "empty": "", "not yaml": "\t{",
	} {
		_, err := ParseAssignment([]byte(text))
		require.Equal(t, failure.Invalid, failure.CodeOf(err), name)
	}
	in.Generation = 0
	data, err = in.YAML()
	require.NoError(t, err)
	_, err = ParseAssignment(data)
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}

func TestEndpoint(t *testing.T) {
	identity := job.Identity{Ref: job.Ref{Tenant: "shop", Name: "orders"}, Namespace: "tenant-shop"}
	require.Equal(t, "https://orders-g7-client.tenant-shop.svc:8480", EndpointOf(identity, 7).URL)
}
