package scenario

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"software.sslmate.com/src/go-pkcs12"

	"sluice/internal/agentapi"
	"sluice/internal/manifest"
	"sluice/internal/pki"
)

// Keys reads the keys of a generation from its Secret.
func (w *World) Keys(generation int) manifest.Keys {
	w.T.Helper()
	secret, err := w.Kube.CoreV1().Secrets(w.Tenant).Get(context.Background(), fmt.Sprintf("%s-g%d-keys", w.Name, generation), meta.GetOptions{})
	require.NoError(w.T, err)
	password := regexp.MustCompile(`-password=(\S+)`).FindSubmatch(secret.Data["jobmanager.args"])
	require.NotNil(w.T, password)
	return manifest.Keys{
		Flink: pki.Flink{
			Password: string(password[1]), Internal: secret.Data["internal.p12"],
			Client: pki.Pair{Certificate: secret.Data[agentapi.FlinkClient], Key: secret.Data[agentapi.FlinkClientKey]},
		},
		Agent: pki.Pair{Certificate: secret.Data[agentapi.AgentCertificate], Key: secret.Data[agentapi.AgentKey]},
		Trust: secret.Data[agentapi.Trust],
	}
}

// PodIP is the address of a role's first pod.
func (w *World) PodIP(generation int, role manifest.Role) string {
	w.T.Helper()
	pods, err := w.Kube.CoreV1().Pods(w.Tenant).List(context.Background(), meta.ListOptions{LabelSelector: w.Selector(generation, string(role))})
	require.NoError(w.T, err)
	require.NotEmpty(w.T, pods.Items)
	return pods.Items[0].Status.PodIP
}

// Worker is the certificate with which the worker calls agents.
func (w *World) Worker() *tls.Certificate {
	w.T.Helper()
	config, err := w.Authority().Client(pki.Worker)
	require.NoError(w.T, err)
	certificate, err := config.GetClientCertificate(nil)
	require.NoError(w.T, err)
	return certificate
}

// Certificate is a pair as a client shows it.
func Certificate(t *testing.T, pair pki.Pair) tls.Certificate {
	t.Helper()
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	require.NoError(t, err)
	return certificate
}

// FromStore is the key in a PKCS#12 store.
func FromStore(t *testing.T, store []byte, password string) tls.Certificate {
	t.Helper()
	key, certificate, err := pkcs12.Decode(store, password)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

const knockTimeout = 10 * time.Second

// hello is understood by all that speak HTTP.
const hello = "GET / HTTP/1.1\r\nHost: knock\r\nConnection: close\r\n\r\n"

// Knock is nil when a server lets the holder of a certificate (nil: nobody) in. A
// server of TLS 1.2 has decided when the handshake ends; one of 1.3 says so in
// what it sends next.
func Knock(address string, own *tls.Certificate) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // who is there is not the question
	if own != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: knockTimeout}, Config: config}
	ctx, cancel := context.WithTimeout(context.Background(), knockTimeout)
	defer cancel()
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if secured, ok := connection.(*tls.Conn); ok && secured.ConnectionState().Version < tls.VersionTLS13 {
		return nil
	}
	_, err = answer(connection)
	return err
}

// Plain is nil when a server answers without TLS. A redirection to https or "bad
// request" is no answer.
func Plain(address string) error {
	connection, err := (&net.Dialer{Timeout: knockTimeout}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	text, err := answer(connection)
	if err == nil && !strings.HasPrefix(text, "HTTP/1.1 200") {
		return errors.New("it says: " + text)
	}
	return err
}

func answer(connection net.Conn) (string, error) {
	if err := connection.SetDeadline(time.Now().Add(knockTimeout)); err != nil {
		return "", err
	}
	if _, err := connection.Write([]byte(hello)); err != nil {
		return "", err
	}
	begin := make([]byte, 64)
	n, err := connection.Read(begin)
	return string(begin[:n]), err
}
