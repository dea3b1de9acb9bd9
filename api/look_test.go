package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/look"
	"sluice/internal/pki"
	"sluice/internal/pki/pkitest"
	"sluice/internal/store"
)

const orders = "/v1/tenants/shop/jobs/orders/flink"

func TestWhoMayLookAtFlink(t *testing.T) {
	w := assemble(t, nil, nil)
	for _, c := range []struct {
		name, token, method, path string
		want                      failure.Code
	}{
		{"no token", "", "GET", orders + "/", failure.Unauthorized},
		{"no token, no read either", "", "POST", orders + "/jars/upload", failure.Unauthorized},
		{"another tenant's", viewerToken, "GET", "/v1/tenants/bank/jobs/orders/flink/", failure.Forbidden},
		{"the tenant in another writing", viewerToken, "GET", "/v1/tenants/%73hop/jobs/orders/flink/", failure.Forbidden},
		{"the job in another writing", viewerToken, "GET", "/v1/tenants/shop/jobs/%6frders/flink/config", failure.NotFound},
		{"no name of a job", viewerToken, "GET", "/v1/tenants/shop/jobs/Orders/flink/config", failure.Invalid},
		{"an upload", adminToken, "POST", orders + "/jars/upload", failure.NoMethod},
		{"a cancel", adminToken, "PATCH", orders + "/jobs/" + strings.Repeat("0", 32) + "?mode=cancel", failure.NoMethod},
		{"a cancel by GET", adminToken, "GET", orders + "/jobs/" + strings.Repeat("0", 32) + "/yarn-cancel", failure.Forbidden},
		{"jars", adminToken, "GET", orders + "/jars", failure.Forbidden},
		{"a way out", adminToken, "GET", orders + "/../../../operations", failure.Forbidden},
		{"an escaped way out", adminToken, "GET", orders + "/%2e%2e/%2e%2e/operations", failure.Forbidden},
		{"a server without keys", viewerToken, "GET", orders + "/jobs/overview", failure.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := w.do(c.token, c.method, c.path, "")
			answer.problem(c.want)
			if c.want == failure.NoMethod {
				require.Equal(t, look.Methods, answer.Header().Get("Allow"))
			}
		})
	}
	require.Contains(t, w.log.String(), "operation=lookAtFlink")
	require.NotContains(t, w.log.String(), "yarn-cancel", "addresses are the caller's text")
}

// agent is one generation's, with the platform's keys, and what it was asked.
func agent(t *testing.T, authority *pki.Authority) (address string, asked *http.Request) {
	t.Helper()
	own, err := authority.Issue(pki.AgentOf("01J", 7), "orders-g7-client.ns-of-shop.svc")
	require.NoError(t, err)
	doors, err := pki.Server(own, authority.Trust(), pki.API)
	require.NoError(t, err)
	asked = &http.Request{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = *r
		_, _ = w.Write([]byte("RUNNING"))
	}))
	server.TLS = doors
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), asked
}

// keys are the api's, as files.
func keys(t *testing.T, authority *pki.Authority) config.Keys {
	t.Helper()
	pair, err := authority.Issue(pki.API)
	require.NoError(t, err)
	directory := t.TempDir()
	files := config.Keys{CertificateFile: filepath.Join(directory, "tls.crt"), KeyFile: filepath.Join(directory, "tls.key"), TrustFile: filepath.Join(directory, "ca.crt")}
	for path, content := range map[string][]byte{files.CertificateFile: pair.Certificate, files.KeyFile: pair.Key, files.TrustFile: authority.Trust()} {
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	return files
}

func TestTheWayToTheAgent(t *testing.T) {
	authority := pkitest.Authority(t)
	address, asked := agent(t, authority)
	transport, err := agentDoors(keys(t, authority))
	require.NoError(t, err)
	transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) { // its name's address
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	a := &API{agents: transport, namespaces: map[string]string{"shop": "ns-of-shop"}}
	found := store.Job{Tenant: "shop", Name: "orders", UID: "01J", State: store.State{State: store.Running, Generation: 7}}
	way, err := a.wayToAgent(found)
	require.NoError(t, err)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.Header.Set("Authorization", "Bearer "+viewerToken)
	recorder := httptest.NewRecorder()
	require.NoError(t, way.Forward(recorder, request, look.Read{Path: "/jobs/overview", Query: "get=a"}))
	require.Equal(t, "RUNNING", recorder.Body.String())
	require.Equal(t, agentapi.LookPath+"/jobs/overview?get=a", asked.RequestURI)
	require.Equal(t, "01J", asked.Header.Get(agentapi.JobHeader))
	require.Equal(t, "orders-g7-client.ns-of-shop.svc:8480", asked.Host)
	require.Empty(t, asked.Header["Authorization"], "the agent needs no token, and nobody behind it")

	found.State.Generation = 8 // another agent at that address
	way, err = a.wayToAgent(found)
	require.NoError(t, err)
	err = unseen(way.Forward(httptest.NewRecorder(), request, look.Read{Path: "/config"}))
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.Contains(t, failure.Of(err).Next, "earlier release")
	require.Contains(t, err.Error(), "orders-g7-client", "it shows another generation's certificate")
}

func TestAServerWithoutKeysHasNoWay(t *testing.T) {
	transport, err := agentDoors(config.Keys{})
	require.NoError(t, err)
	require.Nil(t, transport)
	_, err = agentDoors(config.Keys{CertificateFile: "no", KeyFile: "no", TrustFile: "no"})
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}
