package observer

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"sluice/internal/failure"
	"sluice/internal/kube/kubetest"
)

// A finalizer that something other than the API server didn't find is still
// there: it is taken again.
func TestA404OfAProxyIsNoAnswer(t *testing.T) {
	o := New(Config{Cluster: kubetest.Proxy(t, nil), Log: slog.New(slog.DiscardHandler)})
	require.Equal(t, failure.Unavailable, failure.CodeOf(o.release(t.Context(), sample(func(*core.Pod) {}))))
}
