package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"sluice/internal/failure"
	"sluice/internal/pki"
	"sluice/internal/pki/pkitest"
)

// serve is a server at 127.0.0.1 that the certificate calls "example.com".
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(pki.Peer(r.TLS))) //nolint:gosec // of a certificate that the test made
	}))
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func call(t *testing.T, url string, config *tls.Config) error {
	t.Helper()
	config = config.Clone()
	config.ServerName = "orders-g7-client.shop.svc"
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	return err
}

func client(t *testing.T, authority *pki.Authority, identity pki.Identity) *tls.Config {
	t.Helper()
	config, err := authority.Client(identity)
	require.NoError(t, err)
	return config
}

func TestOnlyTheAllowedComeIn(t *testing.T) {
	authority := pkitest.Authority(t)
	own, err := authority.Issue(pki.AgentOf("01JD", 7), "orders-g7-client.shop.svc")
	require.NoError(t, err)
	config, err := pki.Server(own, authority.Trust(), pki.Worker, pki.API)
	require.NoError(t, err)
	url := serve(t, config)

	require.NoError(t, call(t, url, client(t, authority, pki.Worker)))
	require.NoError(t, call(t, url, client(t, authority, pki.API)))
	require.Error(t, call(t, url, client(t, authority, pki.AgentOf("01JD", 8))), "an agent commands nobody, though its certificate is the platform's")
	require.Error(t, call(t, url, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}), "no certificate") //nolint:gosec // who calls trusts anybody here
	stranger := client(t, pkitest.Authority(t), pki.Worker)
	stranger.InsecureSkipVerify = true
	require.Error(t, call(t, url, stranger), "another authority's worker")
	require.Error(t, call(t, url, client(t, pkitest.Authority(t), pki.Worker)), "and it doesn't believe this server")
}

// A process that was given its pair as files, as cert-manager makes them.
func TestAPairOfFiles(t *testing.T) {
	authority := pkitest.Authority(t)
	own, err := authority.Issue(pki.AgentOf("01JD", 7), "orders-g7-client.shop.svc")
	require.NoError(t, err)
	config, err := pki.Server(own, authority.Trust(), pki.API)
	require.NoError(t, err)
	url := serve(t, config)

	directory := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	give := func(identity pki.Identity) (certificate, key string) {
		pair, err := authority.Issue(identity)
		require.NoError(t, err)
		return file("tls.crt", pair.Certificate), file("tls.key", pair.Key)
	}
	certificate, key := give(pki.Worker)
	trust := file("ca.crt", authority.Trust())
	client, err := pki.Client(certificate, key, trust)
	require.NoError(t, err)
	require.Error(t, call(t, url, client), "another process's")
	give(pki.API)
	require.NoError(t, call(t, url, client), "a renewed pair needs no restart")

	for _, files := range [][3]string{{"no", key, trust}, {certificate, "no", trust}, {certificate, key, "no"}, {trust, key, trust}, {certificate, key, key}} {
		_, err := pki.Client(files[0], files[1], files[2])
		require.Equal(t, failure.Invalid, failure.CodeOf(err), "%v", files)
	}
}

func TestAuthorityIsOne(t *testing.T) {
	authority := pkitest.Authority(t)
	leaf, err := authority.Issue(pki.Worker)
	require.NoError(t, err)
	_, err = pki.NewAuthority(leaf, leaf.Certificate)
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
	require.ErrorContains(t, err, "is not an authority's")
	_, err = pki.NewAuthority(pki.Pair{Certificate: pkitest.Pair(t).Certificate, Key: leaf.Key}, leaf.Certificate)
	require.ErrorContains(t, err, "don't fit")
	_, err = pki.NewAuthority(pkitest.Pair(t), []byte("nothing"))
	require.ErrorContains(t, err, "no certificate among the trusted")
}

func TestFlinkKeysAreAGenerationsOwn(t *testing.T) {
	one, err := pki.NewFlink("orders-g7", "orders-g7-jobmanager")
	require.NoError(t, err)
	two, err := pki.NewFlink("orders-g7", "orders-g7-jobmanager")
	require.NoError(t, err)
	require.NotEqual(t, one.Password, two.Password)

	key, server, err := pkcs12.Decode(one.REST, one.Password)
	require.NoError(t, err)
	trusted, err := pkcs12.DecodeTrustStore(one.RESTTrust, one.Password)
	require.NoError(t, err)
	require.Len(t, trusted, 1, "one client")
	roots := x509.NewCertPool()
	roots.AddCert(trusted[0])
	url := serve(t, &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: key}},
	})
	for name, c := range map[string]struct {
		client pki.Pair
		server []byte
		fine   bool
	}{
		"own":                          {one.Client, one.Server, true},
		"another generation's client":  {two.Client, one.Server, false},
		"another generation's trusted": {one.Client, two.Server, false},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pki.Pinned(c.client, c.server)
			require.NoError(t, err)
			config.ServerName = "orders-g7-jobmanager"
			transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
			require.NoError(t, err)
			response, err := transport.RoundTrip(request)
			if err == nil {
				_ = response.Body.Close()
			}
			require.Equal(t, c.fine, err == nil, "%v", err)
		})
	}
}
