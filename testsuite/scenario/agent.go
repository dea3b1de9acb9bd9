package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// FaultsAgent is the image of the agent's test build: another build than this
// tenant's jobs run.
func (w *World) FaultsAgent() string { return env(w.T, "SLUICE_AGENT_FAULTS_IMAGE") }

// ReplaceAgent gives the client Deployment of a generation another image, as
// `kubectl set image` does, and waits until its pod serves.
func (w *World) ReplaceAgent(generation int, image string) (old, now string) {
	w.T.Helper()
	ctx := context.Background()
	deployments := w.Kube.AppsV1().Deployments(w.Tenant)
	name := fmt.Sprintf("%s-g%d-client", w.Name, generation)
	found, err := deployments.Get(ctx, name, meta.GetOptions{})
	require.NoError(w.T, err)
	old = found.Spec.Template.Spec.Containers[0].Image
	require.NotEqual(w.T, old, image)
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"client","image":%q}]}}}}`, image)
	_, err = deployments.Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), meta.PatchOptions{FieldManager: "kubectl-set"})
	require.NoError(w.T, err)
	w.Until("the new agent is ready", time.Minute, func() bool {
		found, err = deployments.Get(ctx, name, meta.GetOptions{})
		require.NoError(w.T, err)
		return rolledOut(found)
	})
	return old, found.Spec.Template.Spec.Containers[0].Image
}

func rolledOut(d *apps.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == 1 && s.Replicas == 1 && s.ReadyReplicas == 1
}
