package agent

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/pki"
)

// Load makes the Config of an agent inside its pod: assignment and keys from
// mounted files, the pod's uid from the environment, Kubernetes by the pod's
// service account.
func Load(log *slog.Logger) (Config, error) {
	assignment, err := readAssignment()
	if err != nil {
		return Config{}, err
	}
	doors, err := ownDoor(agentapi.KeysPath)
	if err != nil {
		return Config{}, err
	}
	flink, err := flinkDoor(agentapi.KeysPath)
	if err != nil {
		return Config{}, err
	}
	cluster, err := rest.InClusterConfig()
	if err != nil {
		return Config{}, failure.Wrap(failure.Invalid, err, "find the API server")
	}
	config := Config{
		Assignment: assignment,
		Doors:      doors,
		Flink:      flink,
		PodUID:     os.Getenv("POD_UID"),
		Log:        log,
	}
	return config, config.connect(cluster)
}

// ownDoor lets the worker in, and the api to look (http.go).
func ownDoor(directory string) (*tls.Config, error) {
	own, err := pki.ReadPair(filepath.Join(directory, agentapi.AgentCertificate), filepath.Join(directory, agentapi.AgentKey))
	if err != nil {
		return nil, err
	}
	trust, err := os.ReadFile(filepath.Join(directory, agentapi.Trust)) //nolint:gosec // its own pod's
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "read whom to trust")
	}
	return pki.Server(own, trust, pki.Worker, pki.API)
}

// flinkDoor opens the JobManager's REST, and no other's.
func flinkDoor(directory string) (*tls.Config, error) {
	own, err := pki.ReadPair(filepath.Join(directory, agentapi.FlinkClient), filepath.Join(directory, agentapi.FlinkClientKey))
	if err != nil {
		return nil, err
	}
	server, err := os.ReadFile(filepath.Join(directory, agentapi.FlinkServer)) //nolint:gosec // its own pod's
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "read the JobManager's certificate")
	}
	return pki.Pinned(own, server)
}

func readAssignment() (agentapi.Assignment, error) {
	data, err := os.ReadFile(agentapi.AssignmentPath)
	if err != nil {
		return agentapi.Assignment{}, failure.Wrap(failure.Invalid, err, "read the assignment")
	}
	return agentapi.ParseAssignment(data)
}

// connect makes the two typed clients that an agent uses; the whole clientset
// would be most of its size.
func (c *Config) connect(cluster *rest.Config) error {
	cluster = rest.CopyConfig(cluster)
	cluster.QPS, cluster.Burst = 50, 100 // client-go's default of 5 a second would delay a submission
	cluster.Timeout = 15 * time.Second
	cluster.UserAgent = "sluice-agent/" + Version
	transport, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "make the API server's client")
	}
	if c.Leases, err = coordination.NewForConfigAndClient(cluster, transport); err != nil {
		return failure.Wrap(failure.Invalid, err, "make the client of Leases")
	}
	if c.Pods, err = core.NewForConfigAndClient(cluster, transport); err != nil {
		return failure.Wrap(failure.Invalid, err, "make the client of pods")
	}
	return nil
}
