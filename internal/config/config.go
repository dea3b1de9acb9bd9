// Package config reads the configuration of the processes: a YAML file, then
// environment variables over it. Unknown keys in the file are refused, every
// wrong value is reported with its field, secrets come from files or the
// environment and are never printed.
//
// A variable's name is the key's path: database.dsnFile is
// SLUICE_DATABASE_DSN_FILE. Lists of strings are separated by commas; lists of
// objects (tenants, engines) are in the file only.
package config

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Secret is a string that doesn't print.
type Secret string

const redacted = "[redacted]"

// String hides the value from fmt.
func (Secret) String() string { return redacted }

// GoString hides it from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides it from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides it from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// Reveal is the value, for the one who connects with it.
func (s Secret) Reveal() string { return string(s) }

// Tenant is an owner of jobs.
type Tenant struct {
	Name       string `koanf:"name"`
	Namespace  string `koanf:"namespace"`  // Kubernetes namespace of its jobs
	AgentImage string `koanf:"agentImage"` // instead of the worker's; "" is that
	// SnapshotRoots are the directories on the site's HDFS from which a start of the
	// tenant's may take a snapshot that isn't the job's own; the worker's.
	SnapshotRoots []string `koanf:"snapshotRoots"`
}

// Engine maps an engine version to its container image.
type Engine struct {
	Name    string `koanf:"name"`
	Version string `koanf:"version"`
	Image   string `koanf:"image"` // the worker's; the api does not need it
}

// Database is the record store.
type Database struct {
	DSN            Secret `koanf:"dsn"`     // user:password@tcp(host:port)/database; prefer dsnFile
	DSNFile        string `koanf:"dsnFile"` // a file that holds it
	MaxConnections int    `koanf:"maxConnections"`
}

// Temporal is the server and namespace.
type Temporal struct {
	Address   string `koanf:"address"` // host:port
	Namespace string `koanf:"namespace"`
}

// Authority issues the certificates with which the platform's processes know each
// other: PEM files of a Secret of type kubernetes.io/tls.
type Authority struct {
	CertificateFile string `koanf:"certificateFile"`
	KeyFile         string `koanf:"keyFile"`
	TrustFile       string `koanf:"trustFile"` // all that are trusted, while one follows another; "": certificateFile
}

// Keys are a process's own certificate, and whom it trusts: PEM files of a Secret as
// cert-manager makes them (tls.crt, tls.key, ca.crt).
type Keys struct {
	CertificateFile string `koanf:"certificateFile"`
	KeyFile         string `koanf:"keyFile"`
	TrustFile       string `koanf:"trustFile"`
}

// HDFS is the file system of the site.
type HDFS struct {
	NameNodes []string `koanf:"nameNodes"` // host:port
	User      string   `koanf:"user"`
	Group     string   `koanf:"group"` // of directories that Flink's user writes too
	// DefaultFS is how Flink names it ("hdfs://nn:8020"); "" is hdfs://<first NameNode>.
	DefaultFS string `koanf:"defaultFS"`
}

// FS is the prefix of every path that Flink is given.
func (h HDFS) FS() string {
	if h.DefaultFS != "" {
		return strings.TrimSuffix(h.DefaultFS, "/")
	}
	if len(h.NameNodes) == 0 {
		return ""
	}
	return "hdfs://" + h.NameNodes[0]
}

// Kafka is that of the site.
type Kafka struct {
	Brokers []string `koanf:"brokers"` // host:port, those that revisions may name; [] for none
}

// API configures sluice-api.
type API struct {
	Listen        string        `koanf:"listen"`        // host:port of the API
	MetricsListen string        `koanf:"metricsListen"` // host:port of /metrics; "" serves none
	UIURL         string        `koanf:"uiURL"`         // Temporal's UI as people reach it
	TokensFile    string        `koanf:"tokensFile"`    // bearer tokens, mounted from a Secret
	ShutdownGrace time.Duration `koanf:"shutdownGrace"`
	LogLevel      string        `koanf:"logLevel"`
	Sites         []string      `koanf:"sites"` // [] takes any site's name
	Database      Database      `koanf:"database"`
	Temporal      Temporal      `koanf:"temporal"`
	HDFS          HDFS          `koanf:"hdfs"`
	Agents        Keys          `koanf:"agents"` // to look at Flink through the jobs' agents; none: nobody looks
	Tenants       []Tenant      `koanf:"tenants"`
	Engines       []Engine      `koanf:"engines"`
}

// Worker configures sluice-worker.
type Worker struct {
	Site          string        `koanf:"site"`
	Listen        string        `koanf:"listen"`        // host:port of /healthz and /readyz
	MetricsListen string        `koanf:"metricsListen"` // host:port of /metrics; "" serves none
	AgentImage    string        `koanf:"agentImage"`    // container image of sluice-agent
	ShutdownGrace time.Duration `koanf:"shutdownGrace"`
	LogLevel      string        `koanf:"logLevel"`
	KubernetesQPS float32       `koanf:"kubernetesQPS"`
	Namespace     string        `koanf:"namespace"` // its own: where the observer's Lease lies
	Authority     Authority     `koanf:"authority"`
	// PlacementGrace is how long a generation's pods may wait for room (a node, the
	// quota) before the operation fails or goes on cold; 0: for ever.
	PlacementGrace time.Duration `koanf:"placementGrace"`
	// MonitoringNamespace may scrape Flink's metrics; "" serves none.
	MonitoringNamespace string   `koanf:"monitoringNamespace"`
	Database            Database `koanf:"database"`
	Temporal            Temporal `koanf:"temporal"`
	HDFS                HDFS     `koanf:"hdfs"`
	Kafka               Kafka    `koanf:"kafka"`
	Tenants             []Tenant `koanf:"tenants"`
	Engines             []Engine `koanf:"engines"`
}

// LoadAPI reads and checks the api's configuration; file "" is none.
func LoadAPI(file string) (API, error) {
	c := API{
		Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9464", ShutdownGrace: 30 * time.Second, LogLevel: "info",
		Database: Database{MaxConnections: 20}, Temporal: Temporal{Namespace: "default"}, HDFS: HDFS{User: "sluice"},
	}
	if err := load(file, &c); err != nil {
		return c, err
	}
	return c, c.check()
}

// LoadWorker reads and checks the worker's configuration; file "" is none.
func LoadWorker(file string) (Worker, error) {
	c := Worker{
		Listen: "127.0.0.1:8081", MetricsListen: "127.0.0.1:9465", ShutdownGrace: 30 * time.Second, LogLevel: "info", KubernetesQPS: 100, PlacementGrace: 5 * time.Minute,
		Database: Database{MaxConnections: 20}, Temporal: Temporal{Namespace: "default"}, HDFS: HDFS{User: "sluice"},
	}
	if err := load(file, &c); err != nil {
		return c, err
	}
	return c, c.check()
}

// Level is the log level; check has seen that it is one.
func level(name string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(name))
	return l
}

// Level is the api's log level.
func (c API) Level() slog.Level { return level(c.LogLevel) }

// Level is the worker's log level.
func (c Worker) Level() slog.Level { return level(c.LogLevel) }

// Namespaces maps tenants to their Kubernetes namespaces.
func Namespaces(tenants []Tenant) map[string]string {
	namespaces := make(map[string]string, len(tenants))
	for _, tenant := range tenants {
		namespaces[tenant.Name] = tenant.Namespace
	}
	return namespaces
}

// SnapshotRoots are those of each tenant.
func SnapshotRoots(tenants []Tenant) map[string][]string {
	roots := make(map[string][]string, len(tenants))
	for _, tenant := range tenants {
		roots[tenant.Name] = tenant.SnapshotRoots
	}
	return roots
}

// Offered lists the engines that jobs may name.
func Offered(engines []Engine) []job.Engine {
	offered := make([]job.Engine, len(engines))
	for i, engine := range engines {
		offered[i] = job.Engine{Name: engine.Name, Version: engine.Version}
	}
	return offered
}

// Connection is the DSN, read from its file if one is named.
func (d Database) Connection() (string, error) {
	if d.DSNFile == "" {
		return d.DSN.Reveal(), nil
	}
	content, err := os.ReadFile(d.DSNFile)
	if err != nil {
		return "", failure.Wrap(failure.Invalid, err, "database.dsnFile can't be read")
	}
	return strings.TrimSpace(string(content)), nil
}
