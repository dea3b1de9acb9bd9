package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

const apiFile = `
listen: 0.0.0.0:8080
uiURL: http://127.0.0.1:8233
tokensFile: /run/tokens.yaml
shutdownGrace: 5s
database: {dsnFile: /run/dsn}
temporal: {address: "10.0.0.1:7233"}
hdfs: {nameNodes: ["10.0.0.1:8020"]}
tenants: [{name: shop, namespace: shop}]
engines: [{name: flink, version: 1.20.5}]
`

const workerFile = `
site: dc1
agentImage: docker.io/sluice/agent
authority: {certificateFile: /run/ca/tls.crt, keyFile: /run/ca/tls.key}
database: {dsn: "u:hidden@tcp(h:3306)/d"}
temporal: {address: "10.0.0.1:7233", namespace: sluice}
hdfs: {nameNodes: ["10.0.0.1:8020"], user: sluice, group: flink}
tenants: [{name: shop, namespace: shop, agentImage: other}]
engines: [{name: flink, version: 1.20.5, image: docker.io/sluice/flink:1.20.5}]
`

// TestMain takes away what the stack exports: it would win over the files.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLoadAPI(t *testing.T) {
	c, err := LoadAPI(write(t, apiFile))
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:8080", c.Listen)
	require.Equal(t, 5*time.Second, c.ShutdownGrace)
	require.Equal(t, "default", c.Temporal.Namespace, "a default stays")
	require.Equal(t, 20, c.Database.MaxConnections)
	require.Equal(t, []Engine{{Name: "flink", Version: "1.20.5"}}, c.Engines)
	require.Equal(t, map[string]string{"shop": "shop"}, Namespaces(c.Tenants))
}

func TestTheEnvironmentWins(t *testing.T) {
	t.Setenv("SLUICE_DATABASE_DSN", "u:p@tcp(h:1)/d")
	t.Setenv("SLUICE_DATABASE_MAX_CONNECTIONS", "7")
	t.Setenv("SLUICE_HDFS_NAME_NODES", "a:1, b:2")
	t.Setenv("SLUICE_UI_URL", "https://ui.example.com")
	t.Setenv("SLUICE_SHUTDOWN_GRACE", "1m")
	t.Setenv("SLUICE_API_PORT", "tcp://10.0.0.1:80") // what Kubernetes puts beside a Service
	c, err := LoadAPI(write(t, strings.Replace(apiFile, "database: {dsnFile: /run/dsn}", "", 1)))
	require.NoError(t, err)
	require.Equal(t, "u:p@tcp(h:1)/d", c.Database.DSN.Reveal())
	require.Equal(t, 7, c.Database.MaxConnections)
	require.Equal(t, []string{"a:1", "b:2"}, c.HDFS.NameNodes)
	require.Equal(t, "https://ui.example.com", c.UIURL)
	require.Equal(t, time.Minute, c.ShutdownGrace)
}

func TestLoadWorker(t *testing.T) {
	c, err := LoadWorker(write(t, workerFile))
	require.NoError(t, err)
	require.Equal(t, "hdfs://10.0.0.1:8020", c.HDFS.FS())
	require.Equal(t, "flink", c.HDFS.Group)
	require.Equal(t, "other", c.Tenants[0].AgentImage)
	dsn, err := c.Database.Connection()
	require.NoError(t, err)
	require.Equal(t, "u:hidden@tcp(h:3306)/d", dsn)
}

func TestASecretIsNeverPrinted(t *testing.T) {
	c, err := LoadWorker(write(t, workerFile))
	require.NoError(t, err)
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "dsn", c.Database.DSN, "database", c.Database)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), string(encoded), log.String()} {
		require.NotContains(t, text, "hidden")
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	_, err := LoadAPI(write(t, "listen: nonsense\nlogLevel: loud\ntenants: [{name: Shop}, {name: Shop, namespace: x}]\nuiURL: ftp://x\n"))
	f := failure.Of(err)
	require.Equal(t, failure.Invalid, f.Code)
	fields := map[string]bool{}
	for _, field := range f.Fields {
		fields[field.Name] = true
		require.NotEmpty(t, field.Reason)
	}
	for _, name := range []string{"listen", "logLevel", "tenants[0].name", "tenants[0].namespace", "tenants[1].name", "uiURL", "tokensFile", "database.dsnFile", "temporal.address", "hdfs.nameNodes", "engines"} {
		require.True(t, fields[name], name)
	}
	_, err = LoadWorker(write(t, strings.Replace(workerFile, ", image: docker.io/sluice/flink:1.20.5", "", 1)))
	require.ErrorContains(t, err, "engines[0].image is empty")
}

func TestSnapshotRootsStayOutOfThePlatformsDirectory(t *testing.T) {
	const tenant = "tenants: [{name: shop, namespace: shop, "
	with := func(root string) (Worker, error) {
		at := strings.Index(workerFile, "tenants:")
		end := at + strings.Index(workerFile[at:], "\n")
		return LoadWorker(write(t, workerFile[:at]+tenant+"snapshotRoots: [\""+root+"\"]}]"+workerFile[end:]))
	}
	c, err := with("/data/handed-over")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"shop": {"/data/handed-over"}}, SnapshotRoots(c.Tenants))
	for _, root := range []string{"/", "", "data", "/data/", "/data/../sluice", "/sluice", "/sluice/jobs"} {
		_, err := with(root)
		require.ErrorContains(t, err, "tenants[0].snapshotRoots[0] is", root)
	}
}

func TestUnknownKeysAreRefused(t *testing.T) {
	for name, content := range map[string]string{
		"top":    apiFile + "colour: red\n",
		"nested": strings.Replace(apiFile, "dsnFile", "dsnFiles", 1),
		"list":   strings.Replace(apiFile, "namespace: shop", "namespace: shop, quota: 1", 1),
		"broken": "listen: [",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadAPI(write(t, content))
			require.Equal(t, failure.Invalid, failure.CodeOf(err))
		})
	}
	_, err := LoadAPI("/nowhere.yaml")
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}

func TestNamesOfVariables(t *testing.T) {
	for key, want := range map[string]string{
		"database.dsnFile": "SLUICE_DATABASE_DSN_FILE", "hdfs.nameNodes": "SLUICE_HDFS_NAME_NODES", "uiURL": "SLUICE_UI_URL",
		"hdfs.defaultFS": "SLUICE_HDFS_DEFAULT_FS", "kubernetesQPS": "SLUICE_KUBERNETES_QPS", "metricsListen": "SLUICE_METRICS_LISTEN",
	} {
		require.Equal(t, want, variable(key))
	}
}
