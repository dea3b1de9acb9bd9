package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
)

// A Secret that isn't there is known before anything is made or held.
func TestMissingSecretEndsThePlan(t *testing.T) {
	for _, missing := range []bool{true, false} {
		w := newWorld(t, job.Request{Kind: job.Upgrade})
		w.facts.Target.Revision.Spec.Secrets = []job.Secret{{Name: "kafka", MountPath: "/secrets/kafka"}}
		on(w, activities.CheckSecrets, func(in activities.SecretsIn) (activities.None, error) {
			require.Equal(t, []string{"kafka"}, in.Names)
			if missing {
				return activities.None{}, ontemporal.Error(failure.New(failure.Refused, "the Secret shop/kafka does not exist"))
			}
			return activities.None{}, nil
		})
		w.run()
		p := w.progress(t)
		require.Contains(t, w.calls, activities.CheckSecrets.Name)
		if !missing {
			require.Equal(t, job.Committed, p.Phase)
			continue
		}
		require.Equal(t, job.Failed, p.Phase)
		require.Equal(t, failure.Refused, p.Failure.Code)
		require.NotContains(t, w.calls, activities.ReserveGeneration.Name)
		require.NotContains(t, w.calls, activities.ApplyGeneration.Name)
		require.NotContains(t, w.calls, activities.PlaceHold.Name)
	}
}

// What names no Secret asks nothing: recorded histories stay as they are.
func TestNoSecretsNoCheck(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.run()
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.NotContains(t, w.calls, activities.CheckSecrets.Name)
}
