//go:build scenario

package scenario_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/manifest"
	"sluice/internal/pki"
	. "sluice/testsuite/scenario"
)

// withoutKey knocks at every door of a running generation as a stranger on the
// pods' network does: from there, with no key and with another's.
func withoutKey(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	w.Run(Request(job.Start))
	w.Records(100)

	mine := w.Keys(1)
	other, err := pki.NewFlink("other-g1", "other-g1-jobmanager")
	require.NoError(t, err)
	jobManager, agent := w.PodIP(1, manifest.JobManager), w.PodIP(1, manifest.Client)
	for name, door := range map[string]struct {
		address string
		own     tls.Certificate
	}{
		"REST":                {fmt.Sprintf("%s:%d", jobManager, manifest.PortREST), Certificate(t, mine.Flink.Client)},
		"RPC":                 {fmt.Sprintf("%s:%d", jobManager, manifest.PortRPC), FromStore(t, mine.Flink.Internal, mine.Flink.Password)},
		"blobs":               {fmt.Sprintf("%s:%d", jobManager, manifest.PortBlob), FromStore(t, mine.Flink.Internal, mine.Flink.Password)},
		"a TaskManager's RPC": {w.TaskManagerRPC(), FromStore(t, mine.Flink.Internal, mine.Flink.Password)},
	} {
		require.NoError(t, Knock(door.address, &door.own), "%s opens for its own key", name)
		require.Error(t, Knock(door.address, nil), "%s: no key", name)
		stranger := Certificate(t, other.Client)
		require.Error(t, Knock(door.address, &stranger), "%s: another generation's REST key", name)
		stranger = FromStore(t, other.Internal, other.Password)
		require.Error(t, Knock(door.address, &stranger), "%s: another generation's internal key", name)
		require.Error(t, Plain(door.address), "%s: no TLS at all", name)
		w.Say("%s at %s: its own key comes in; none, another generation's and plain text don't", name, door.address)
	}

	address := fmt.Sprintf("%s:%d", agent, agentapi.Port)
	worker := w.Worker()
	require.NoError(t, Knock(address, worker), "the worker's")
	require.Error(t, Knock(address, nil))
	for what, identity := range map[string]pki.Identity{"another agent": pki.AgentOf("01JD", 1), "this very agent": pki.AgentOf(w.UID(), 1)} {
		pair, err := w.Authority().Issue(identity)
		require.NoError(t, err)
		certificate := Certificate(t, pair)
		require.Error(t, Knock(address, &certificate), "%s has a certificate of the platform's", what)
	}
	agents, err := x509.ParseCertificate(Certificate(t, mine.Agent).Certificate[0])
	require.NoError(t, err)
	require.Equal(t, string(pki.AgentOf(w.UID(), 1)), agents.URIs[0].String())
	w.Say("the agent at %s: the worker comes in; no certificate and those of agents don't", address)

	w.Apply(V2)
	w.Run(Request(job.Upgrade))
	require.NotEqual(t, mine.Flink.Password, w.Keys(2).Flink.Password, "a new generation has new keys")
	w.Records(600)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}

// secretStaysSecret: a job that needs a secret to run, in its main and in its
// operators, is started, upgraded and stopped; then everything that the platform
// or Kubernetes keeps is searched for the value.
func secretStaysSecret(t *testing.T) {
	w := Given(t, "shop")
	name := "handed-" + w.Name
	version := V1.With("--reads-file", "/secrets/handed/code", "--reads-variable", "HANDED_CODE", "--reads-sha256")
	version.Secrets = []job.Secret{{Name: name, MountPath: "/secrets/handed"}, {Name: name, Env: "HANDED_CODE", Key: "code"}}
	value := w.RandomValue()
	version = version.With(Digest(value))

	w.Apply(version)
	refused := w.Fails(Request(job.Start))
	require.Contains(t, refused.Progress.Failure.Message, "the Secret shop/"+name)
	require.Contains(t, refused.Progress.Failure.Next, "kubectl -n shop create secret generic "+name)
	require.False(t, w.Exists(1), "nothing was made")

	w.MakeSecret(name, "code", value)
	w.Run(Request(job.Start))
	w.Records(300)
	version.Jar = V2.Jar
	w.Apply(version)
	w.Run(Request(job.Upgrade))
	w.Records(900)
	w.MustNotLeak(value)
	w.Run(Request(job.Stop))
	w.MustNotLeak(value)
	w.Green("v1", "v2")

	literal := w.Spec(V1, "sha256:"+Digest(value))
	literal.Options["kafka.sasl.jaas.config"] = "org.apache.kafka…PlainLoginModule required password='" + value + "';"
	answer := w.Call(http.MethodPut, "/jobs/"+w.Name, map[string]any{"site": "dc1", "spec": literal})
	require.Equal(t, http.StatusUnprocessableEntity, answer.Status, string(answer.Body))
	require.Contains(t, string(answer.Body), "looks like a secret")
	require.NotContains(t, string(answer.Body), value)
}
