package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/kube/kubetest"
	"sluice/internal/lease"
)

// A Lease that something other than the API server doesn't find may be there.
func TestA404OfAProxyIsNoAnswer(t *testing.T) {
	c, key, ctx := lease.Client{API: kubetest.Proxy(t, nil).CoordinationV1()}, lease.Key{Namespace: "shop", Name: "orders", JobUID: "U"}, t.Context()
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := c.Get(ctx, key); return err },
		"Create": func() error { return c.Create(ctx, key, nil) },
		"Update": func() error {
			_, err := c.Update(ctx, key, func(s lease.State) (lease.State, error) { return s, nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			require.Equal(t, failure.Unavailable, failure.CodeOf(err), err)
		})
	}
}
