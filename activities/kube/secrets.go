package kube

import (
	"context"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/manifest"
)

// CheckSecrets looks whether Secrets are there, without reading one: the worker
// has no right to. It asks Kubernetes to only pretend to make each, which it
// refuses for one that exists.
func (a *Activities) CheckSecrets(ctx context.Context, in activities.SecretsIn) (activities.None, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.None{}, err
	}
	for _, name := range in.Names {
		there, err := a.cluster.SecretExists(ctx, manifest.ManagerGeneration, in.Identity.Namespace, name)
		if err != nil {
			return activities.None{}, err
		}
		if !there {
			return activities.None{}, failure.New(failure.Refused, "the Secret %s/%s, which the revision names, does not exist", in.Identity.Namespace, name).
				WithNext("make it: kubectl -n %s create secret generic %s --from-file=KEY=FILE", in.Identity.Namespace, name)
		}
	}
	return activities.None{}, nil
}
