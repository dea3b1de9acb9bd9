package manifest

import (
	"fmt"
	"path"
	"strings"

	core "k8s.io/client-go/applyconfigurations/core/v1"

	"sluice/internal/agentapi"
	"sluice/internal/pki"
)

// flinkKeys is where Flink's processes find their stores and arguments.
const flinkKeys = "/etc/flink-keys"

// Keys of the Secret's data that Flink's processes get; those of the agent are
// in agentapi.
const (
	internalStore  = "internal.p12"
	restStore      = "rest.p12"
	restTrustStore = "rest-trust.p12"
)

// argumentsFile of a role: see arguments.
func argumentsFile(role Role) string { return string(role) + ".args" }

// Keys are all of a generation's.
type Keys struct {
	Flink pki.Flink
	Agent pki.Pair // the agent's, for its callers
	Trust []byte   // PEM: who issues its callers' certificates
}

// Keys is the Secret; made by create, so that a retry never changes a key under
// running processes: the first one's stay for the generation's life.
func (in Input) Keys(rootUID string, keys Keys) *core.SecretApplyConfiguration {
	flink := keys.Flink
	return core.Secret(in.name().Keys(), in.Identity.Namespace).
		WithLabels(in.labels("keys")).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithImmutable(true).
		WithData(map[string][]byte{
			agentapi.AgentCertificate:  keys.Agent.Certificate,
			agentapi.AgentKey:          keys.Agent.Key,
			agentapi.Trust:             keys.Trust,
			agentapi.FlinkServer:       flink.Server,
			agentapi.FlinkClient:       flink.Client.Certificate,
			agentapi.FlinkClientKey:    flink.Client.Key,
			internalStore:              flink.Internal,
			restStore:                  flink.REST,
			restTrustStore:             flink.RESTTrust,
			argumentsFile(JobManager):  arguments(jobManagerMain, flink.Password, "internal", "rest"),
			argumentsFile(TaskManager): arguments(taskManagerMain, flink.Password, "internal"),
		})
}

// arguments is a file of arguments (java @file) with the main class and what
// must not stand in a ConfigMap, a pod's command or a list of processes: the
// stores' password. The launcher reads such a file only as long as it has not
// seen a main class, so that one is in the file too.
func arguments(main, password string, doors ...string) []byte {
	lines := []string{main}
	for _, door := range doors {
		for _, of := range []string{"keystore", "key", "truststore"} {
			lines = append(lines, fmt.Sprintf("-D security.ssl.%s.%s-password=%s", door, of, password))
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// doorOptions close Flink's doors to everybody without the generation's keys.
// The data plane stays open: it carries records, and encrypting them costs a
// third of its throughput; the NetworkPolicy is its door.
func doorOptions() map[string]string {
	return map[string]string{
		"security.ssl.internal.enabled":            "true",
		"security.ssl.internal.keystore":           path.Join(flinkKeys, internalStore),
		"security.ssl.internal.keystore-type":      "PKCS12",
		"security.ssl.internal.truststore":         path.Join(flinkKeys, internalStore),
		"security.ssl.internal.truststore-type":    "PKCS12",
		"security.ssl.rest.enabled":                "true",
		"security.ssl.rest.authentication-enabled": "true",
		"security.ssl.rest.keystore":               path.Join(flinkKeys, restStore),
		"security.ssl.rest.keystore-type":          "PKCS12",
		"security.ssl.rest.truststore":             path.Join(flinkKeys, restTrustStore),
		"security.ssl.rest.truststore-type":        "PKCS12",
		// The keys are of elliptic curves; Flink's default is for RSA.
		"security.ssl.algorithms":      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"taskmanager.data.ssl.enabled": "false",
		"blob.service.ssl.enabled":     "true",
	}
}

// keysOf is what a role's pod sees of the Secret. A TaskManager has no key to
// the JobManager's REST.
func (in Input) keysOf(role Role) *core.VolumeApplyConfiguration {
	files := []string{internalStore, argumentsFile(role)}
	if role == JobManager {
		files = append(files, restStore, restTrustStore)
	}
	return core.Volume().WithName("keys").WithSecret(core.SecretVolumeSource().
		WithSecretName(in.name().Keys()).WithDefaultMode(0o440).WithItems(keyPaths("", files...)...))
}

// agentFiles is assignment and keys as one directory, where agentapi says.
func (in Input) agentFiles() *core.VolumeApplyConfiguration {
	directory := path.Base(agentapi.KeysPath) // beside the assignment
	return core.Volume().WithName("files").WithProjected(core.ProjectedVolumeSource().
		WithDefaultMode(0o440).
		WithSources(
			core.VolumeProjection().WithConfigMap(core.ConfigMapProjection().WithName(in.name().Config()).
				WithItems(core.KeyToPath().WithKey(assignmentFile).WithPath(path.Base(agentapi.AssignmentPath)))),
			core.VolumeProjection().WithSecret(core.SecretProjection().WithName(in.name().Keys()).
				WithItems(keyPaths(directory, agentapi.Keys...)...))))
}

func keyPaths(directory string, keys ...string) []*core.KeyToPathApplyConfiguration {
	paths := make([]*core.KeyToPathApplyConfiguration, 0, len(keys))
	for _, key := range keys {
		paths = append(paths, core.KeyToPath().WithKey(key).WithPath(path.Join(directory, key)))
	}
	return paths
}
