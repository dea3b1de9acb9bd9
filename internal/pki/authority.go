package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"os"
	"sync"
	"time"

	"sluice/internal/failure"
)

// Authority issues the certificates of the platform's processes.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	trust       []byte // PEM; what its peers trust, itself among them
}

// LoadAuthority reads the authority's certificate and key (PEM files, as in a
// Secret of type kubernetes.io/tls). trustFile holds all certificates that are
// trusted, e.g. the old and the new one while they change; "" is the first alone.
func LoadAuthority(certificateFile, keyFile, trustFile string) (*Authority, error) {
	pair, err := ReadPair(certificateFile, keyFile)
	if err != nil {
		return nil, err
	}
	trust := pair.Certificate
	if trustFile != "" {
		if trust, err = os.ReadFile(trustFile); err != nil { //nolint:gosec // the configuration's
			return nil, failure.Wrap(failure.Invalid, err, "read the trusted certificates")
		}
	}
	return NewAuthority(pair, trust)
}

// NewAuthority makes an authority of its pair; peers are told to trust trust.
func NewAuthority(pair Pair, trust []byte) (*Authority, error) {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the authority's certificate and key don't fit or can't be read")
	}
	certificate, err := x509.ParseCertificate(parsed.Certificate[0])
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the authority's certificate can't be read")
	}
	signer, signs := parsed.PrivateKey.(crypto.Signer)
	if !certificate.IsCA || !signs {
		return nil, failure.New(failure.Invalid, "the certificate of %q is not an authority's", certificate.Subject.CommonName).
			WithNext("make one with basicConstraints CA:TRUE and keyUsage keyCertSign")
	}
	if _, err := pool(trust); err != nil {
		return nil, err
	}
	return &Authority{certificate: certificate, key: signer, trust: trust}, nil
}

// Trust is the PEM of what peers of this authority's holders must trust.
func (a *Authority) Trust() []byte { return a.trust }

// Issue makes a pair for a process that serves under hosts and calls others.
func (a *Authority) Issue(identity Identity, hosts ...string) (Pair, error) {
	return a.issue(identity, life, hosts...)
}

func (a *Authority) issue(identity Identity, life time.Duration, hosts ...string) (Pair, error) {
	made, err := leaf{
		name: string(identity), identity: identity, hosts: hosts, life: life,
		usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}.make(a.certificate, a.key)
	if err != nil {
		return Pair{}, err
	}
	return made.pair()
}

// Client is the configuration with which identity calls others: its certificate
// is made here, lives a day and is renewed when it is needed.
func (a *Authority) Client(identity Identity) (*tls.Config, error) {
	roots, err := pool(a.trust)
	if err != nil {
		return nil, err
	}
	own := &renewed{authority: a, identity: identity}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get() },
	}, nil
}

const day = 24 * time.Hour

// renewed is a certificate of the process itself; its key never leaves memory.
type renewed struct {
	authority *Authority
	identity  Identity
	mutex     sync.Mutex
	current   *tls.Certificate
	until     time.Time
}

func (r *renewed) get() (*tls.Certificate, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.current != nil && time.Now().Before(r.until) {
		return r.current, nil
	}
	pair, err := r.authority.issue(r.identity, day)
	if err != nil {
		return nil, err
	}
	certificate, err := pair.tls()
	if err != nil {
		return nil, err
	}
	r.current, r.until = &certificate, time.Now().Add(day/2)
	return r.current, nil
}
