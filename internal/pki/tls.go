package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"

	"sluice/internal/failure"
)

// ReadPair reads two PEM files.
func ReadPair(certificateFile, keyFile string) (Pair, error) {
	certificate, err := os.ReadFile(certificateFile) //nolint:gosec // the configuration's
	if err != nil {
		return Pair{}, failure.Wrap(failure.Invalid, err, "read a certificate")
	}
	key, err := os.ReadFile(keyFile) //nolint:gosec // the configuration's
	if err != nil {
		return Pair{}, failure.Wrap(failure.Invalid, err, "read a key")
	}
	return Pair{Certificate: certificate, Key: key}, nil
}

func (p Pair) tls() (tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return certificate, failure.Wrap(failure.Invalid, err, "a certificate and its key don't fit or can't be read")
	}
	return certificate, nil
}

func pool(pem []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, failure.New(failure.Invalid, "there is no certificate among the trusted ones")
	}
	return roots, nil
}

// Pinned calls a server that shows exactly the certificate server (PEM), as
// client. TLS 1.2 is what Flink speaks.
func Pinned(client Pair, server []byte) (*tls.Config, error) {
	certificate, err := client.tls()
	if err != nil {
		return nil, err
	}
	roots, err := pool(server)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, RootCAs: roots}, nil
}

// Client is the configuration of a process that was given its pair, and has no
// authority: it calls servers whose certificate is under trustFile (PEM). The pair is
// read at each handshake, so that a renewed one needs no restart; now, so that a wrong
// one is noticed at once.
func Client(certificateFile, keyFile, trustFile string) (*tls.Config, error) {
	trust, err := os.ReadFile(trustFile) //nolint:gosec // the configuration's
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "read the trusted certificates")
	}
	roots, err := pool(trust)
	if err != nil {
		return nil, err
	}
	own := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := ReadPair(certificateFile, keyFile)
		if err != nil {
			return nil, err
		}
		certificate, err := pair.tls()
		return &certificate, err
	}
	if _, err := own(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, GetClientCertificate: own}, nil
}

// Server lets in who shows a certificate under trust (PEM) with one of the
// allowed identities.
func Server(own Pair, trust []byte, allowed ...Identity) (*tls.Config, error) {
	certificate, err := own.tls()
	if err != nil {
		return nil, err
	}
	roots, err := pool(trust)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		VerifyConnection: func(state tls.ConnectionState) error {
			if peer := Peer(&state); !slices.Contains(allowed, peer) {
				return failure.New(failure.Forbidden, "%q may not call here", peer)
			}
			return nil
		},
	}, nil
}

// Peer is the identity in the verified certificate of a connection's other end.
func Peer(state *tls.ConnectionState) Identity {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0][0].URIs) != 1 {
		return ""
	}
	return Identity(state.VerifiedChains[0][0].URIs[0].String())
}
