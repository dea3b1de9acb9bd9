package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"sigs.k8s.io/yaml"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// role is what a token may do; each includes the ones before it.
type role int

const (
	nobody   role = iota
	viewer        // reads
	operator      // pushes artifacts, declares jobs, runs operations
	admin         // profiles, operations that lose state
)

var roles = map[string]role{"none": nobody, "viewer": viewer, "operator": operator, "admin": admin}

func (r role) String() string {
	for name, value := range roles {
		if value == r {
			return name
		}
	}
	return "?"
}

// allTenants as a token's tenant means each of them.
const allTenants = "*"

// principal is who sent a request.
type principal struct {
	Subject string
	Tenant  string
	Role    role
}

func (p principal) of(tenant string) bool { return p.Tenant == allTenants || p.Tenant == tenant }

// tokens is the file of bearer tokens, mounted from a Secret. It holds their
// SHA-256, not the tokens. A change is seen at the next request: Kubernetes
// swaps a link, so the file behind the name is another one. A file that can't be
// read or is wrong leaves the former tokens in force.
type tokens struct {
	path string
	log  *slog.Logger

	mutex sync.Mutex
	seen  os.FileInfo
	known []knownToken
}

type knownToken struct {
	sum [sha256.Size]byte
	principal
}

func newTokens(path string, log *slog.Logger) (*tokens, error) {
	t := &tokens{path: path, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the tokens file can't be read")
	}
	return t, t.read(info)
}

// find gives the principal of a token. All known ones are compared, each in
// constant time, so that the answer's time says nothing.
func (t *tokens) find(token string) (principal, bool) {
	sum := sha256.Sum256([]byte(token))
	var found principal
	ok := 0
	for _, known := range t.current() {
		if subtle.ConstantTimeCompare(sum[:], known.sum[:]) == 1 {
			found, ok = known.principal, 1
		}
	}
	return found, ok == 1
}

func (t *tokens) current() []knownToken {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	info, err := os.Stat(t.path)
	if err != nil || same(info, t.seen) {
		return t.known
	}
	if err := t.read(info); err != nil {
		t.seen = info // say it once
		t.log.Error("the tokens file is not usable; the former tokens stay in force", "error", err)
	}
	return t.known
}

func same(a, b os.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (t *tokens) read(info os.FileInfo) error {
	content, err := os.ReadFile(t.path)
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "the tokens file can't be read")
	}
	known, err := parseTokens(content)
	if err != nil {
		return err
	}
	t.seen, t.known = info, known
	t.log.Info("tokens read", "count", len(known))
	return nil
}

func parseTokens(content []byte) ([]knownToken, error) {
	var file struct {
		Tokens []struct {
			SHA256  string `json:"sha256"`
			Subject string `json:"subject"`
			Tenant  string `json:"tenant"`
			Role    string `json:"role"`
		} `json:"tokens"`
	}
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		return nil, failure.New(failure.Invalid, "the tokens file is not valid YAML of the form tokens: [{sha256, subject, tenant, role}]")
	}
	known := make([]knownToken, 0, len(file.Tokens))
	for i, entry := range file.Tokens {
		sum, err := hex.DecodeString(entry.SHA256)
		granted, isRole := roles[entry.Role]
		switch {
		case err != nil || len(sum) != sha256.Size:
			return nil, wrongToken(i, "sha256 is not 64 hex digits")
		case entry.Subject == "":
			return nil, wrongToken(i, "subject is empty")
		case entry.Tenant != allTenants && job.CheckName(entry.Tenant) != "":
			return nil, wrongToken(i, `tenant is neither "*" nor a tenant's name`)
		case !isRole || granted == nobody:
			return nil, wrongToken(i, "role is none of viewer, operator, admin")
		}
		known = append(known, knownToken{[sha256.Size]byte(sum), principal{entry.Subject, entry.Tenant, granted}})
	}
	return known, nil
}

func wrongToken(index int, reason string) error {
	return failure.New(failure.Invalid, "the tokens file is not valid: %s", fmt.Sprintf("tokens[%d]: %s", index, reason))
}
