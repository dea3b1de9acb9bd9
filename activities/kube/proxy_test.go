package kube

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/kube/kubetest"
)

// Behind a proxy that answers 404 no Lease is missing, no generation is removed
// and no worker is away. The one read that passes is the Lease's, for the removal.
func TestA404OfAProxyIsNoAnswer(t *testing.T) {
	identity := job.Identity{Ref: job.Ref{Tenant: "shop", Name: "orders"}, UID: "U", Site: "dc1", Namespace: "shop"}
	in := activities.LeaseIn{Identity: identity, Operation: "op", MayCreate: true}
	ref := activities.GenerationRef{Identity: identity, Generation: 1}
	const writer = "GET /apis/coordination.k8s.io/v1/namespaces/shop/leases/orders"
	passes := map[string]string{writer: `{"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
		"metadata": {"name": "orders", "namespace": "shop", "annotations": {"sluice.io/writer": "{\"jobUid\":\"U\",\"generation\":1}"}}}`}
	for name, c := range map[string]struct {
		passes map[string]string
		call   func(context.Context, *Activities) error
	}{
		"ReadLease":         {nil, func(ctx context.Context, a *Activities) error { _, err := a.ReadLease(ctx, in); return err }},
		"ReserveGeneration": {nil, func(ctx context.Context, a *Activities) error { _, err := a.ReserveGeneration(ctx, in); return err }},
		"RemoveGeneration":  {passes, func(ctx context.Context, a *Activities) error { _, err := a.RemoveGeneration(ctx, ref); return err }},
		"ScaleDownWorkers":  {nil, func(ctx context.Context, a *Activities) error { _, err := a.ScaleDownWorkers(ctx, ref); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Config{Site: "dc1", Tenants: map[string]Tenant{"shop": {Namespace: "shop"}}}, kubetest.Proxy(t, c.passes))
			require.Equal(t, failure.Unavailable, failure.CodeOf(c.call(t.Context(), a)))
		})
	}
}
