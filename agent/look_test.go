package agent

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/look"
	"sluice/internal/pki"
)

// as is a connection of one of the platform's processes.
func as(t *testing.T, identity pki.Identity) *tls.ConnectionState {
	t.Helper()
	uri, err := url.Parse(string(identity))
	require.NoError(t, err)
	return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{URIs: []*url.URL{uri}}}}}
}

// looked is an agent before a JobManager that counts and answers everything.
func looked(t *testing.T, answer http.HandlerFunc) (a *Agent, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	return &Agent{
		config: Config{Assignment: agentapi.Assignment{JobUID: "01J"}},
		ui:     look.Way{To: "the JobManager", Base: base, Transport: &http.Transport{}},
		looks:  make(chan struct{}, maxLooks),
	}, asked
}

func ask(t *testing.T, a *Agent, who *tls.ConnectionState, method, address string) *http.Response {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, address, strings.NewReader(`{"id":"a"}`))
	request.Header.Set(agentapi.JobHeader, "01J")
	request.Header.Set("Authorization", "Bearer t0ken")
	request.TLS = who
	recorder := httptest.NewRecorder()
	a.handler().ServeHTTP(recorder, request)
	response := recorder.Result()
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func status(t *testing.T, a *Agent, who *tls.ConnectionState, method, address string) int {
	t.Helper()
	response := ask(t, a, who, method, address)
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

func refusal(t *testing.T, a *Agent, who *tls.ConnectionState, method, address string) failure.Code {
	t.Helper()
	response := ask(t, a, who, method, address)
	defer func() { _ = response.Body.Close() }()
	return problem.Parse(response).Code
}

func TestTheAPILooksAndTheWorkerCommands(t *testing.T) {
	a, asked := looked(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) > 0 || len(r.Header[agentapi.JobHeader]) > 0 {
			t.Error("Flink hears what it need not know")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jobs":[{"state":"RUNNING"}]}`))
	})
	require.Equal(t, http.StatusOK, status(t, a, as(t, pki.API), http.MethodGet, "/v1/flink/jobs/overview"))
	require.Equal(t, http.StatusOK, status(t, a, as(t, pki.API), http.MethodHead, "/v1/flink/"))
	require.EqualValues(t, 2, asked.Load())

	strangers := map[string]*tls.ConnectionState{"an agent": as(t, pki.AgentOf("01J", 7)), "nobody": nil}
	for name, who := range strangers {
		for _, address := range []string{"/v1/flink/jobs/overview", "/v1/state", "/v1/commands/a"} {
			require.Equal(t, http.StatusForbidden, status(t, a, who, http.MethodGet, address), "%s %s", name, address)
		}
	}
	require.Equal(t, failure.Forbidden, refusal(t, a, as(t, pki.Worker), http.MethodGet, "/v1/flink/jobs/overview"), "it has no use for it")
	require.EqualValues(t, 2, asked.Load())
}

// The api serves people from outside: whoever broke into it must not command.
func TestTheAPICommandsNobody(t *testing.T) {
	a, asked := looked(t, func(http.ResponseWriter, *http.Request) {})
	for _, address := range []string{"/v1/commands/a", "/v1/state", "/v1/flink", "/v1/flink%2f..%2fcommands/a", "/v1//commands/a", "/V1/commands/a", "/"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
			require.Equal(t, failure.Forbidden, refusal(t, a, as(t, pki.API), method, address), "%s %s", method, address)
		}
	}
	for _, address := range []string{"/v1/flink/../commands/a", "/v1/flink/..%2fcommands/a", "/v1/flink/jars", "/v1/flink/jobs/" + strings.Repeat("0", 32) + "/yarn-cancel", "/v1/flink//"} {
		require.Equal(t, failure.Forbidden, refusal(t, a, as(t, pki.API), http.MethodGet, address), address)
	}
	require.Equal(t, failure.NoMethod, refusal(t, a, as(t, pki.API), http.MethodPatch, "/v1/flink/jobs/"+strings.Repeat("0", 32)))
	require.Zero(t, asked.Load(), "Flink was not asked")
}

func TestOnlySoManyLookAtOnce(t *testing.T) {
	a, asked := looked(t, func(http.ResponseWriter, *http.Request) {})
	for range maxLooks {
		a.looks <- struct{}{}
	}
	require.Equal(t, failure.Unavailable, refusal(t, a, as(t, pki.API), http.MethodGet, "/v1/flink/config"))
	require.Zero(t, asked.Load())
	<-a.looks
	require.Equal(t, http.StatusOK, status(t, a, as(t, pki.API), http.MethodGet, "/v1/flink/config"))
	require.Len(t, a.looks, maxLooks-1, "the place is free again")
}
