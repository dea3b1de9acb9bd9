// Package pki makes keys and certificates: those of one generation (Flink's
// doors, generation.go), those that the platform's authority issues
// (authority.go), and the TLS configurations that use them (tls.go). It writes
// nothing and keeps nothing: where keys lie is its callers' business, and no key
// may enter a workflow's history, a log or a ConfigMap.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"sluice/internal/failure"
)

// Pair is a certificate with its private key, both PEM.
type Pair struct {
	Certificate []byte
	Key         []byte
}

// Identity says in a certificate who holds its key, as a URI.
type Identity string

// The identities of the platform's processes. An agent's certificate comes from
// the same authority, so a valid chain alone gives nobody a right.
const (
	Worker Identity = "spiffe://sluice/worker"
	API    Identity = "spiffe://sluice/api"
)

// AgentOf is the identity of a generation's agent.
func AgentOf(jobUID string, generation int) Identity {
	return Identity(fmt.Sprintf("spiffe://sluice/agent/%s/%d", jobUID, generation))
}

// life of what a generation is given. Its keys end with it; a certificate that
// ended earlier would part a running job's processes from each other.
const life = 10 * 365 * 24 * time.Hour

// skew is how far another machine's clock may be behind ours.
const skew = time.Hour

// leaf is a certificate to be made.
type leaf struct {
	name     string
	identity Identity // "": none
	hosts    []string
	usage    []x509.ExtKeyUsage
	life     time.Duration
}

func (l leaf) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "no randomness for a certificate")
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: l.name},
		NotBefore:             time.Now().Add(-skew),
		NotAfter:              time.Now().Add(l.life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           l.usage,
		BasicConstraintsValid: true,
	}
	for _, host := range l.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if l.identity != "" {
		identity, err := url.Parse(string(l.identity))
		if err != nil {
			return nil, failure.Wrap(failure.Internal, err, "the identity %q is no URI", l.identity)
		}
		template.URIs = []*url.URL{identity}
	}
	return template, nil
}

// made is a certificate with its key, not yet encoded.
type made struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// make signs the certificate of a new key; without an issuer by that key itself.
func (l leaf) make(issuer *x509.Certificate, signer crypto.Signer) (made, error) {
	template, err := l.template()
	if err != nil {
		return made{}, err
	}
	// P-256: making one takes microseconds, and Java and Go both know it.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made{}, failure.Wrap(failure.Internal, err, "make a key")
	}
	if issuer == nil {
		issuer, signer = template, key
	} else if template.NotAfter.After(issuer.NotAfter) {
		template.NotAfter = issuer.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		return made{}, failure.Wrap(failure.Internal, err, "sign the certificate of %s", l.name)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return made{}, failure.Wrap(failure.Internal, err, "read the certificate of %s", l.name)
	}
	return made{certificate: certificate, key: key}, nil
}

func (m made) pair() (Pair, error) {
	key, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		return Pair{}, failure.Wrap(failure.Internal, err, "encode a key")
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.certificate.Raw}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}
