package manifest

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	core "k8s.io/client-go/applyconfigurations/core/v1"

	"sluice/internal/agentapi"
	"sluice/internal/job"
)

// addDependencies gives a pod of Flink's the revision's dependencies: an init
// container, the agent's image, brings them from HDFS and proves their digests
// before Flink starts. A new pod brings them again. It knows where HDFS is and
// nothing else: no token, no key. A revision without dependencies has a pod
// without any of this, which is ready sooner.
func (in Input) addDependencies(pod *core.PodSpecApplyConfiguration, flink *core.ContainerApplyConfiguration) {
	digests := in.Revision.Spec.Dependencies
	if len(digests) == 0 {
		return
	}
	pod.WithVolumes(in.configVolume("assignment", assignmentFile), emptyDirectory("dependencies"))
	flink.WithVolumeMounts(mount("dependencies", agentapi.DependenciesPath).WithReadOnly(true))
	pod.WithInitContainers(in.container(core.Container().
		WithName(agentapi.FetchContainer).
		WithImage(in.Platform.AgentImage).
		WithArgs(append([]string{agentapi.FetchCommand}, digests...)...).
		WithResources(core.ResourceRequirements().
			WithRequests(quantities("20m", "48Mi")).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("192Mi")})).
		WithVolumeMounts(
			mount("assignment", path.Dir(agentapi.AssignmentPath)).WithReadOnly(true),
			mount("dependencies", agentapi.DependenciesPath))))
}

// dependencyOptions puts them into the class loader of the job's own jar, in
// main and in every task: both find each other's classes, and what ServiceLoader
// looks for. The engine's class path would be another loader, which can't see
// the jar.
func (in Input) dependencyOptions() map[string]string {
	digests := in.Revision.Spec.Dependencies
	if len(digests) == 0 {
		return nil
	}
	urls := make([]string, len(digests))
	for i, digest := range digests {
		digits, _ := job.ParseDigest(digest) // Check has seen that it is one
		urls[i] = "file://" + agentapi.DependencyFile(digits)
	}
	return map[string]string{"pipeline.classpaths": strings.Join(urls, ";")}
}
