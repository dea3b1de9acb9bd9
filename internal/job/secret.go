package job

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Secret is a Kubernetes Secret of the tenant's namespace that the job's
// JobManager and TaskManagers see: as a directory, or one key of it as an
// environment variable. The platform knows its name, never its content.
type Secret struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath,omitempty"` // below SecretsRoot; a file for each key
	Env       string `json:"env,omitempty"`       // instead of MountPath
	Key       string `json:"key,omitempty"`       // with Env
}

// SecretsRoot is the directory below which Secrets are mounted: nothing of the
// engine's or the platform's lies there.
const SecretsRoot = "/secrets"

// MaxSecrets of a revision.
const MaxSecrets = 20

var (
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	secretKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	secretPath = regexp.MustCompile(`^` + SecretsRoot + `(/[a-z0-9]([-a-z0-9._]*[a-z0-9])?)+$`)
	variable   = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,99}$`)
	// What the JVM, Flink, Hadoop, the loader and the platform read.
	reservedVariable = regexp.MustCompile(`^(PATH|HOME|LANG|USER|CLASSPATH|POD_.*|JAVA_.*|JDK_.*|_JAVA_.*|LD_.*|FLINK_.*|HADOOP_.*|KUBERNETES_.*|MALLOC_.*)$`)
	// The keys of a generation, of whatever job: internal/manifest names them so.
	generationKeys = regexp.MustCompile(`-g[0-9]+-keys$`)
)

func (v *fields) secrets(secrets []Secret) {
	if len(secrets) > MaxSecrets {
		v.add("/secrets", fmt.Sprintf("has %d entries; at most %d are allowed", len(secrets), MaxSecrets), "")
		return
	}
	var taken []string
	for i, secret := range secrets {
		field := "/secrets/" + strconv.Itoa(i)
		v.secret(field, secret)
		place := secret.place()
		if slices.Contains(taken, place) {
			v.add(field, place+" is there twice", "")
		}
		taken = append(taken, place)
	}
}

func (v *fields) secret(field string, secret Secret) {
	if len(secret.Name) > 253 || !objectName.MatchString(secret.Name) {
		v.add(field+"/name", "is not the name of a Kubernetes Secret", "for example kafka-credentials")
	} else if generationKeys.MatchString(secret.Name) {
		v.add(field+"/name", "is the name of a generation's own keys", "a job sees no other job's keys; give your Secret another name")
	}
	switch {
	case (secret.MountPath == "") == (secret.Env == ""):
		v.add(field, "needs mountPath or env, and not both", "mountPath: "+SecretsRoot+"/kafka, or env: KAFKA_PASSWORD with key: password")
	case secret.MountPath != "" && (len(secret.MountPath) > 200 || !secretPath.MatchString(secret.MountPath)):
		v.add(field+"/mountPath", "is not a directory below "+SecretsRoot, "for example "+path.Join(SecretsRoot, "kafka"))
	case secret.MountPath != "" && secret.Key != "":
		v.add(field+"/key", "means nothing to mountPath: every key becomes a file", "leave it out")
	case secret.Env != "" && !variable.MatchString(secret.Env):
		v.add(field+"/env", "is not the name of a variable: capital letters, digits and '_'", "for example KAFKA_PASSWORD")
	case secret.Env != "" && reservedVariable.MatchString(secret.Env):
		v.add(field+"/env", "is read by the engine or the platform", "choose another name")
	case secret.Env != "" && !secretKey.MatchString(secret.Key):
		v.add(field+"/key", "is not a key of a Secret's data", "for example password")
	}
}

// place is where the job finds it.
func (s Secret) place() string { return s.MountPath + s.Env }

// SecretNames are the Secrets that a spec refers to, each once.
func (s Spec) SecretNames() []string {
	names := make([]string, 0, len(s.Secrets))
	for _, secret := range s.Secrets {
		names = append(names, secret.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secretLines say which Secret is where, in the order of the places.
func secretLines(secrets []Secret) string {
	lines := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		line := secret.place() + " from " + secret.Name
		if secret.Key != "" {
			line += "." + secret.Key
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}
