package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"k8s.io/client-go/kubernetes/fake"

	"sluice/internal/failure"
	"sluice/internal/kube/kubetest"
	"sluice/internal/lease"
)

// Only a write tells that nobody wrote since the earlier reading: what it finds
// unchanged, or refuses, is decided on a fresh one.
func TestAnEarlierReadingDecidesOnlyByAWrite(t *testing.T) {
	c, key, ctx := lease.Client{API: fake.NewClientset().CoordinationV1()}, lease.Key{Namespace: "shop", Name: "orders", JobUID: "U"}, t.Context()
	require.NoError(t, c.Create(ctx, key, nil))
	earlier, err := c.Read(ctx, key)
	require.NoError(t, err)
	_, err = c.Update(ctx, key, func(s lease.State) (lease.State, error) { return s.Place("other", "", "") })
	require.NoError(t, err)

	unchanged := func(s lease.State) (lease.State, error) { return s, nil }
	now, err := c.UpdateFrom(ctx, key, earlier, unchanged)
	require.NoError(t, err)
	require.Equal(t, "other", now.State.Hold.Operation)

	_, err = c.UpdateFrom(ctx, key, earlier, func(s lease.State) (lease.State, error) { return s, s.CheckHolder("other") })
	require.NoError(t, err, "it holds by now")
}

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
