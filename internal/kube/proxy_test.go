package kube_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apply "k8s.io/client-go/applyconfigurations/core/v1"

	"sluice/internal/failure"
	"sluice/internal/kube"
	"sluice/internal/kube/kubetest"
)

// A 404 that isn't the API server's own proves nothing: nothing is gone.
func TestA404OfAProxyIsNoAnswer(t *testing.T) {
	c, ctx := kubetest.Proxy(t, nil), t.Context()
	object := meta.ObjectMeta{Namespace: "shop", Name: "orders-g1"}
	for name, call := range map[string]func() error{
		"Apply": func() error { return c.Apply(ctx, "m", apply.ConfigMap("orders-g1", "shop")) },
		"CreateConfigMap": func() error {
			_, _, err := c.CreateConfigMap(ctx, "m", &core.ConfigMap{ObjectMeta: object})
			return err
		},
		"CreateSecret":    func() error { return c.CreateSecret(ctx, "m", &core.Secret{ObjectMeta: object}) },
		"DeleteConfigMap": func() error { return c.DeleteConfigMap(ctx, "shop", "orders-g1", "uid") },
		"Scale":           func() error { return c.Scale(ctx, "m", "shop", "orders-g1-taskmanager", 0) },
		"AwaitAvailable": func() error {
			_, err := c.AwaitAvailable(ctx, kube.Wanted{Namespace: "shop", Names: []string{"orders-g1-taskmanager"}}, func(string) {})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			require.Equal(t, failure.Unavailable, failure.CodeOf(err), err)
			require.ErrorContains(t, err, "something other than Kubernetes")
		})
	}
}
