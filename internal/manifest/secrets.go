package manifest

import (
	"strconv"

	core "k8s.io/client-go/applyconfigurations/core/v1"
)

// withSecrets shows the job's Secrets to a pod that runs its code.
func (in Input) withSecrets(spec *core.PodSpecApplyConfiguration, container *core.ContainerApplyConfiguration) {
	for i, secret := range in.Revision.Spec.Secrets {
		if secret.Env != "" {
			container.WithEnv(core.EnvVar().WithName(secret.Env).WithValueFrom(core.EnvVarSource().
				WithSecretKeyRef(core.SecretKeySelector().WithName(secret.Name).WithKey(secret.Key))))
			continue
		}
		volume := "secret-" + strconv.Itoa(i)
		spec.WithVolumes(core.Volume().WithName(volume).WithSecret(core.SecretVolumeSource().
			WithSecretName(secret.Name).WithDefaultMode(0o440)))
		container.WithVolumeMounts(mount(volume, secret.MountPath).WithReadOnly(true))
	}
}
