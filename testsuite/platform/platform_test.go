// Package platform checks what the script of this directory puts into the
// cluster, as far as that needs no cluster.
package platform

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"sluice/internal/config"
)

const deploy = "../../deploy"

// The files are looked at, not the environment that overrides them.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "SLUICE_") {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// fill does what the script's function of that name does.
func fill(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(deploy, "local", name))
	require.NoError(t, err)
	content = regexp.MustCompile(`@TEMPORAL_UI@`).ReplaceAll(content, []byte("http://127.0.0.1:8233"))
	content = regexp.MustCompile(`@(TEMPORAL_ADDRESS|HDFS)@`).ReplaceAll(content, []byte("10.244.0.1:7233"))
	content = regexp.MustCompile(`@[A-Z0-9_]+_IMAGE@`).ReplaceAll(content, []byte("sluice/image:tag"))
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

// The processes refuse keys that they don't know.
func TestConfigurationsAreTheProcesses(t *testing.T) {
	api, err := config.LoadAPI(fill(t, "api.yaml"))
	require.NoError(t, err)
	worker, err := config.LoadWorker(fill(t, "worker.yaml"))
	require.NoError(t, err)
	require.Equal(t, config.Namespaces(api.Tenants), config.Namespaces(worker.Tenants))
	require.Equal(t, config.Offered(api.Engines), config.Offered(worker.Engines))
	require.Equal(t, api.HDFS, worker.HDFS)
	for tenant, namespace := range config.Namespaces(worker.Tenants) {
		content, err := os.ReadFile(filepath.Join(deploy, "local/tenants", tenant, "namespace.yaml"))
		require.NoError(t, err)
		require.Contains(t, string(content), "name: "+namespace)
	}
}

// Those of docker-compose.yml too.
func TestComposeConfigurations(t *testing.T) {
	api, err := config.LoadAPI("../compose/config/api.yaml")
	require.NoError(t, err)
	worker, err := config.LoadWorker("../compose/config/worker.yaml")
	require.NoError(t, err)
	require.Equal(t, config.Namespaces(api.Tenants), config.Namespaces(worker.Tenants))
	require.Equal(t, config.Offered(api.Engines), config.Offered(worker.Engines))
	require.Equal(t, api.HDFS, worker.HDFS)
}

// Every manifest has only fields that Kubernetes knows, and every container is
// as little privileged as those of the jobs.
func TestManifests(t *testing.T) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	files, err := filepath.Glob(deploy + "/*/*.yaml")
	require.NoError(t, err)
	more, err := filepath.Glob(deploy + "/*/*/*/namespace.yaml")
	require.NoError(t, err)
	deployments := 0
	for _, file := range append(files, more...) {
		if base := filepath.Base(file); base == "kustomization.yaml" || slices.Contains([]string{"local", "monitoring"}, filepath.Base(filepath.Dir(file))) { // no objects
			continue
		}
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
			object, _, err := decoder.Decode(document, nil, nil)
			require.NoError(t, err, file)
			deployments += check(t, object)
		}
	}
	require.Equal(t, 2, deployments)
}

func check(t *testing.T, object runtime.Object) int {
	t.Helper()
	d, ok := object.(*apps.Deployment)
	if !ok {
		return 0
	}
	pod := d.Spec.Template.Spec
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.Equal(t, core.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	for _, c := range pod.Containers {
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.Equal(t, []core.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
		require.NotNil(t, c.ReadinessProbe)
		require.NotEmpty(t, c.Resources.Requests)
		require.NotEmpty(t, c.Resources.Limits)
	}
	if d.Name == "api" {
		require.False(t, *pod.AutomountServiceAccountToken, "the api has no business with Kubernetes")
	}
	return 1
}
