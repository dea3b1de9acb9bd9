package pki

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"

	"software.sslmate.com/src/go-pkcs12"

	"sluice/internal/failure"
)

// Flink is what the doors of one generation's Flink are locked with: three key
// pairs, each trusted by name and by nobody's signature, so that there is no
// authority whose key could make another. Stores are PKCS#12.
type Flink struct {
	// Password of the stores. Flink insists on one; whoever has the stores has it too.
	Password string
	// Internal is key and trust of RPC and blobs, between the generation's own
	// JobManager and TaskManagers.
	Internal []byte
	// REST is the JobManager's key, RESTTrust the certificate of the one client
	// that it lets in.
	REST, RESTTrust []byte
	// Client is that one client's, the agent's; Server is the certificate that it
	// must be shown.
	Client Pair
	Server []byte
}

// NewFlink makes them; hosts are the names under which the JobManager is called.
func NewFlink(name string, hosts ...string) (Flink, error) {
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	internal, err := leaf{name: name + " internal", usage: both, life: life}.make(nil, nil)
	if err != nil {
		return Flink{}, err
	}
	server, err := leaf{name: name + " rest", hosts: hosts, usage: both[:1], life: life}.make(nil, nil)
	if err != nil {
		return Flink{}, err
	}
	client, err := leaf{name: name + " agent", usage: both[1:], life: life}.make(nil, nil)
	if err != nil {
		return Flink{}, err
	}
	return encode(internal, server, client)
}

func encode(internal, server, client made) (Flink, error) {
	password, err := newPassword()
	if err != nil {
		return Flink{}, err
	}
	keys := Flink{Password: password}
	// Java's trust in a store of a key is trust in that key's certificate.
	if keys.Internal, err = pkcs12.Modern.Encode(internal.key, internal.certificate, nil, password); err != nil {
		return keys, failure.Wrap(failure.Internal, err, "encode a store")
	}
	if keys.REST, err = pkcs12.Modern.Encode(server.key, server.certificate, nil, password); err != nil {
		return keys, failure.Wrap(failure.Internal, err, "encode a store")
	}
	if keys.RESTTrust, err = pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{client.certificate}, password); err != nil {
		return keys, failure.Wrap(failure.Internal, err, "encode a store")
	}
	if keys.Client, err = client.pair(); err != nil {
		return keys, err
	}
	shown, err := server.pair()
	keys.Server = shown.Certificate
	return keys, err
}

// newPassword has letters and digits only: it needs no quotes anywhere.
func newPassword() (string, error) {
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return "", failure.Wrap(failure.Internal, err, "no randomness for a password")
	}
	return hex.EncodeToString(random), nil
}
