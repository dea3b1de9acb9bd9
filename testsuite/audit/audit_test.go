package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func line(user, agent, verb, group, resource, namespace, name string, code int) string {
	stage := "ResponseComplete"
	if verb == "watch" {
		stage = "ResponseStarted"
	}
	return fmt.Sprintf(`{"stage":%q,"verb":%q,"requestURI":"/x","userAgent":%q,"user":{"username":%q},"objectRef":{"apiGroup":%q,"resource":%q,"namespace":%q,"name":%q},"responseStatus":{"code":%d},"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z"}`+"\n",
		stage, verb, agent+"/1", user, group, resource, namespace, name, code)
}

const (
	workerUser = "system:serviceaccount:sluice-system:worker"
	agentUser  = "system:serviceaccount:shop:orders"
)

func TestLogIsReadOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	first := line(workerUser, "sluice-worker", "get", "coordination.k8s.io", "leases", "shop", "orders", 200)
	second := line(agentUser, "sluice-agent", "list", "", "pods", "shop", "", 200)
	require.NoError(t, os.WriteFile(path, []byte(first+second[:30]), 0o600))
	log, err := Open(path)
	require.NoError(t, err)
	events, err := log.Next()
	require.NoError(t, err)
	require.Len(t, events, 1, "half a line is none")
	require.NoError(t, os.WriteFile(path, []byte(first+second), 0o600))
	events, err = log.Next()
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, "pods", events[0].Resource())
	require.NoError(t, log.ToEnd())
	events, err = log.Next()
	require.NoError(t, err)
	require.Empty(t, events)
}

func TestRequestsOfAJob(t *testing.T) {
	events := parsed(t,
		line(workerUser, "sluice-worker", "get", "coordination.k8s.io", "leases", "shop", "orders", 200),
		line(workerUser, "sluice-worker", "patch", "apps", "deployments", "shop", "orders-g12-client", 201),
		line(workerUser, "sluice-worker", "watch", "", "pods", "shop", "", 200),
		strings.Replace(line(workerUser, "sluice-worker", "list", "apps", "deployments", "shop", "", 200), "/x", "/x?labelSelector=sluice.io%2Fgeneration%3D2%2Csluice.io%2Fjob%3Dorders", 1),
		strings.Replace(line(workerUser, "sluice-worker", "list", "apps", "deployments", "shop", "", 200), "/x", "/x?labelSelector=sluice.io%2Fjob%3Dorders-2", 1),
		line(workerUser, "sluice-worker", "get", "coordination.k8s.io", "leases", "bank", "orders", 200),
		line(workerUser, "sluice-worker", "get", "coordination.k8s.io", "leases", "shop", "orders-2", 200),
		line(agentUser, "sluice-agent", "list", "", "pods", "shop", "", 200),
		line("system:serviceaccount:shop:orders-2", "sluice-agent", "list", "", "pods", "shop", "", 200),
	)
	found := OfJob(events, "shop", "orders")
	require.Len(t, found, 4)
	require.Equal(t, "     1  sluice-agent   list     pods\n     1  sluice-worker  get      leases.coordination.k8s.io\n     1  sluice-worker  list     deployments.apps\n     1  sluice-worker  patch    deployments.apps\n", Table(found))
}

func parsed(t *testing.T, lines ...string) []Event {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	log, err := Open(path)
	require.NoError(t, err)
	events, err := log.Next()
	require.NoError(t, err)
	return events
}

func TestProof(t *testing.T) {
	granted := []Right{
		{"worker", "tenant", "deployments.apps", "patch"}, {"worker", "tenant", "deployments.apps", "create"},
		{"worker", "tenant", "pods", "list"}, {"worker", "tenant", "pods", "get"}, {"agent", "tenant", "pods", "list"},
	}
	p := Prove(granted, parsed(t,
		line(workerUser, "sluice-worker", "patch", "apps", "deployments", "shop", "orders-g12-client", 201),
		line(agentUser, "sluice-agent", "list", "", "pods", "shop", "", 200),
		line(workerUser, "sluice-worker", "delete", "", "pods", "shop", "p", 403),
		line("system:serviceaccount:kube-system:replicaset-controller", "kube-controller-manager", "create", "", "pods", "shop", "", 201),
	))
	require.Equal(t, map[Right]int{granted[0]: 1, granted[1]: 1, granted[4]: 1}, p.Used)
	require.Equal(t, []Right{granted[2]}, p.Lent)
	require.Equal(t, []Right{granted[3]}, p.Unused)
	require.Len(t, p.Refused, 1)
	require.False(t, p.OK())

	listed, watched := Right{"worker", "tenant", "leases.coordination.k8s.io", "list"}, Right{"worker", "tenant", "leases.coordination.k8s.io", "watch"}
	p = Prove([]Right{listed, watched}, parsed(t, line(workerUser, "sluice-worker", "watch", "coordination.k8s.io", "leases", "shop", "", 200)))
	require.Equal(t, []Right{listed}, p.Lent, "the informer's watch began with what there is")
	require.True(t, p.OK())
	require.Equal(t, []Right{listed}, Prove([]Right{listed}, nil).Unused)
	nodes := Right{"worker", Cluster, "nodes", "get"}
	p = Prove([]Right{nodes}, parsed(t, line(workerUser, "sluice-worker", "get", "", "nodes", "", "n", 200)))
	require.Equal(t, map[Right]int{nodes: 1}, p.Used)
	require.True(t, p.OK())

	p = Prove(granted[:1], parsed(t, line(workerUser, "sluice-worker", "get", "", "secrets", "shop", "s", 200)))
	require.Equal(t, map[Right]int{{"worker", "tenant", "secrets", "get"}: 1}, p.Foreign)
}

func TestGrantedByDeploy(t *testing.T) {
	granted, err := Granted("../../deploy/base/worker.yaml", "../../deploy/base/api.yaml", "../../deploy/tenant/worker.yaml")
	require.NoError(t, err)
	require.Contains(t, granted, Right{"worker", System, "leases.coordination.k8s.io", "create"})
	require.Contains(t, granted, Right{"worker", "tenant", "deployments.apps", "patch"})
	require.Contains(t, granted, Right{"agent", "tenant", "leases.coordination.k8s.io", "update"})
	require.Contains(t, granted, Right{"worker", Cluster, "nodes", "get"})
	for _, right := range granted {
		require.NotContains(t, []string{"*", "escalate", "bind", "impersonate"}, right.Verb)
		require.NotEqual(t, "*", right.Resource)
	}
	require.NotContains(t, granted, Right{"worker", "tenant", "secrets", "list"}, "listing would read every tenant's token")
}

func TestNothingMoreOnTheWholeCluster(t *testing.T) {
	for name, document := range map[string]string{
		"a role":    "kind: ClusterRole\nmetadata: {name: wide}\nrules:\n- {apiGroups: [\"\"], resources: [nodes], verbs: [get, list]}\n",
		"a binding": "kind: ClusterRoleBinding\nmetadata: {name: wide}\nroleRef: {kind: ClusterRole, name: cluster-admin}\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "worker.yaml")
			require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
			_, err := Granted(file)
			require.ErrorContains(t, err, "only get nodes")
		})
	}
}
