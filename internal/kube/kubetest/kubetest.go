//go:build contract

// Package kubetest gives contract tests a namespace of a real Kubernetes with
// the rights that a tenant's namespace gives to the worker, and no others.
package kubetest

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"sluice/internal/kube"
)

// Site is one namespace of one test.
type Site struct {
	Namespace string
	Admin     *kube.Cluster // as the test's KUBECONFIG
	Worker    *kube.Cluster // as the worker's service account
	requests  atomic.Int64
}

// New makes the namespace; the test's end removes it with all that is in it.
func New(t *testing.T) *Site {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), `KUBECONFIG is not set: testsuite/stack/stack up; eval "$(testsuite/stack/stack env)"`)
	admin, err := kube.New(kube.Options{QPS: 500, UserAgent: "sluice-test"})
	require.NoError(t, err)
	s := &Site{Namespace: "contract-" + strings.ToLower(ulid.Make().String()[16:]), Admin: admin}
	ctx := t.Context()
	_, err = admin.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{
		Name: s.Namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, meta.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { s.remove(t) })
	s.grant(t)
	s.Worker = s.as(t, "system:serviceaccount:sluice-system:worker")
	// The API server hears of new rights through a watch of its own.
	Eventually(t, 10*time.Second, func() bool {
		_, err := s.Worker.CoreV1().Pods(s.Namespace).List(t.Context(), meta.ListOptions{})
		return err == nil
	}, "the worker's rights are in force")
	return s
}

// grant applies deploy/tenant/worker.yaml, and what deploy/base gives the worker on
// nodes, under names of this test's.
func (s *Site) grant(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top(t), "deploy/tenant/worker.yaml"))
	require.NoError(t, err)
	documents := bytes.Split(content, []byte("\n---\n"))
	require.Len(t, documents, 2)
	var role rbac.Role
	var binding rbac.RoleBinding
	require.NoError(t, yaml.UnmarshalStrict(documents[0], &role))
	require.NoError(t, yaml.UnmarshalStrict(documents[1], &binding))
	_, err = s.Admin.RbacV1().Roles(s.Namespace).Create(t.Context(), &role, meta.CreateOptions{})
	require.NoError(t, err)
	_, err = s.Admin.RbacV1().RoleBindings(s.Namespace).Create(t.Context(), &binding, meta.CreateOptions{})
	require.NoError(t, err)
	s.grantNodes(t)
}

func (s *Site) grantNodes(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top(t), "deploy/base/worker.yaml"))
	require.NoError(t, err)
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		switch {
		case bytes.Contains(document, []byte("\nkind: ClusterRole\n")):
			var role rbac.ClusterRole
			require.NoError(t, yaml.UnmarshalStrict(document, &role))
			role.Name = s.Namespace
			_, err := s.Admin.RbacV1().ClusterRoles().Create(t.Context(), &role, meta.CreateOptions{})
			require.NoError(t, err)
		case bytes.Contains(document, []byte("\nkind: ClusterRoleBinding\n")):
			var binding rbac.ClusterRoleBinding
			require.NoError(t, yaml.UnmarshalStrict(document, &binding))
			binding.Name, binding.RoleRef.Name = s.Namespace, s.Namespace
			_, err := s.Admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &binding, meta.CreateOptions{})
			require.NoError(t, err)
		}
	}
}

// top is the repository's directory: tests run in their package's.
func top(t *testing.T) string {
	t.Helper()
	directory, err := os.Getwd()
	require.NoError(t, err)
	for ; ; directory = filepath.Dir(directory) {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory
		}
		require.NotEqual(t, filepath.Dir(directory), directory, "no go.mod above the test")
	}
}

func (s *Site) as(t *testing.T, user string) *kube.Cluster {
	t.Helper()
	config := rest.CopyConfig(s.Admin.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return counting{next: next, count: &s.requests}
	})
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return &kube.Cluster{Interface: client, Config: config}
}

// Requests is the number of requests that Worker made since the last call.
func (s *Site) Requests() int64 { return s.requests.Swap(0) }

type counting struct {
	next  http.RoundTripper
	count *atomic.Int64
}

// RoundTrip counts.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count.Add(1)
	return c.next.RoundTrip(r)
}

// Image reads a reference from the stack's images.env.
func Image(t *testing.T, name string) string {
	t.Helper()
	state := os.Getenv("SLUICE_STATE")
	if state == "" {
		state = "/var/lib/sluice-stack"
	}
	file, err := os.Open(filepath.Join(state, "images.env")) //nolint:gosec // the stack's own
	require.NoError(t, err, "testsuite/stack/stack up writes it")
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && key == name {
			return value
		}
	}
	require.Fail(t, "images.env has no "+name)
	return ""
}

// Eventually waits for a condition that real servers bring about.
func Eventually(t *testing.T, limit time.Duration, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, limit, 50*time.Millisecond, what)
}

// remove takes finalizers off whatever a failed test left, and the namespace.
func (s *Site) remove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = s.Admin.RbacV1().ClusterRoleBindings().Delete(ctx, s.Namespace, meta.DeleteOptions{})
	_ = s.Admin.RbacV1().ClusterRoles().Delete(ctx, s.Namespace, meta.DeleteOptions{})
	if err := s.Admin.CoreV1().Namespaces().Delete(ctx, s.Namespace, meta.DeleteOptions{}); err != nil {
		t.Logf("namespace %s is left over: %v", s.Namespace, err)
		return
	}
	pods, err := s.Admin.CoreV1().Pods(s.Namespace).List(ctx, meta.ListOptions{})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		_, _ = s.Admin.CoreV1().Pods(s.Namespace).Patch(ctx, pod.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), meta.PatchOptions{})
	}
}
