package manifest

import (
	"fmt"
	"path"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"

	"sluice/internal/agentapi"
)

// Users within the images.
const (
	flinkUser = 9999
	agentUser = 65532
)

// AgentDeployment is the client role.
func (in Input) AgentDeployment(rootUID string) *apps.DeploymentApplyConfiguration {
	container := core.Container().
		WithName(string(Client)).
		WithImage(in.Platform.AgentImage).
		WithEnv(field("POD_UID", "metadata.uid"), field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")).
		WithPorts(named("agent", agentapi.Port), named("metrics", agentapi.MetricsPort)).
		WithReadinessProbe(connects("agent").WithFailureThreshold(3)).
		WithResources(core.ResourceRequirements().
			WithRequests(quantities("20m", "48Mi")).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("192Mi")})).
		WithVolumeMounts(
			mount("files", path.Dir(agentapi.AssignmentPath)).WithReadOnly(true),
			mount("tmp", tmp))
	if in.Platform.Collector != "" {
		container.WithEnv(core.EnvVar().WithName("OTEL_EXPORTER_OTLP_ENDPOINT").WithValue(in.Platform.Collector))
	}
	spec := pod(agentUser).
		WithServiceAccountName(in.Identity.Name).
		WithTerminationGracePeriodSeconds(5).
		WithVolumes(
			in.agentFiles(),
			emptyDirectory("tmp")).
		WithContainers(in.container(container))
	spec.SecurityContext.WithFSGroup(agentUser) // the keys' files are for its group
	return in.deployment(rootUID, Client, 1, spec, nil)
}

// JobManagerDeployment is one Flink JobManager without high availability: the
// writer lease and the agent take that place. It has no liveness probe: killing
// a slow JobManager loses its job, a dead process the kubelet sees by itself,
// and a hung one the agent sees and proves.
func (in Input) JobManagerDeployment(rootUID string) (*apps.DeploymentApplyConfiguration, error) {
	command, err := in.jobManagerCommand()
	if err != nil {
		return nil, fmt.Errorf("profile %s: jobManager: %w", in.Profile.Name, err)
	}
	container := in.flink(JobManager, command, in.Profile.JobManager.CPU, in.Profile.JobManager.MemoryMiB, "rest").
		WithPorts(named("rest", PortREST), named("rpc", PortRPC), named("blob", PortBlob)).
		WithPorts(in.scraped()...)
	return in.deployment(rootUID, JobManager, 1, in.flinkPod(JobManager, container), []string{ProofFinalizer}), nil
}

// TaskManagerDeployment is the generation's workers. Nothing restarts a slow
// one either: it leaves by itself when it finds no JobManager for 5 minutes.
func (in Input) TaskManagerDeployment(rootUID string) (*apps.DeploymentApplyConfiguration, error) {
	command, err := in.taskManagerCommand()
	if err != nil {
		return nil, fmt.Errorf("profile %s: taskManager: %w", in.Profile.Name, err)
	}
	// The data plane's port is the last that a TaskManager opens.
	container := in.flink(TaskManager, command, in.Profile.TaskManager.CPU, in.Profile.TaskManager.MemoryMiB, "data").
		WithPorts(named("data", portData)).
		WithPorts(in.scraped()...)
	return in.deployment(rootUID, TaskManager, int32(in.Profile.TaskManager.Replicas), in.flinkPod(TaskManager, container), []string{ProofFinalizer}), nil
}

func (in Input) deployment(rootUID string, role Role, replicas int32, spec *core.PodSpecApplyConfiguration, finalizers []string) *apps.DeploymentApplyConfiguration {
	template := core.PodTemplateSpec().
		WithLabels(in.labels(string(role))).
		WithAnnotations(in.annotations()).
		WithFinalizers(finalizers...).
		WithSpec(spec)
	return apps.Deployment(in.name().Deployment(role), in.Identity.Namespace).
		WithLabels(in.labels(string(role))).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithSpec(apps.DeploymentSpec().
			WithReplicas(replicas).
			WithRevisionHistoryLimit(0). // the way back is a generation, never a ReplicaSet
			// Never two of a role at once, also when a person edits the Deployment.
			WithStrategy(apps.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)).
			WithSelector(selector(Selector(in.name(), role))).
			WithTemplate(template))
}

// pod is what all pods of ours have in common.
func pod(user int64) *core.PodSpecApplyConfiguration {
	return core.PodSpec().
		WithEnableServiceLinks(false). // thousands of Services would become environment variables
		WithSecurityContext(core.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).
			WithSeccompProfile(core.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
}

func (in Input) flinkPod(role Role, container *core.ContainerApplyConfiguration) *core.PodSpecApplyConfiguration {
	spec := pod(flinkUser)
	in.addDependencies(spec, container) // before the pod takes a copy of the container
	spec.
		WithAutomountServiceAccountToken(false). // it runs user code
		WithTerminationGracePeriodSeconds(2).    // nothing to save: state is in the snapshot by now or lost anyway
		WithVolumes(in.configVolume("config", flinkFile, log4jFile), in.keysOf(role), emptyDirectory("tmp")).
		WithContainers(container)
	in.withSecrets(spec, &spec.Containers[0])
	spec.SecurityContext.WithFSGroup(flinkUser) // the keys' files are for its group
	return spec
}

// flink is a container of the engine. Memory is limited to what the JVM was
// told. CPU is only requested: a quota would throttle the JVM just when it
// starts and restores, in the middle of a job's downtime.
func (in Input) flink(role Role, command []string, cpu string, memoryMiB int, readyPort string) *core.ContainerApplyConfiguration {
	memory := fmt.Sprintf("%dMi", memoryMiB)
	return in.container(core.Container().
		WithName(string(role)).
		WithImage(in.Platform.EngineImage).
		WithCommand(command...).
		WithEnv(
			field("POD_IP", "status.podIP"),
			field("POD_NAME", "metadata.name"),
			core.EnvVar().WithName("HADOOP_USER_NAME").WithValue("flink")).
		WithResources(core.ResourceRequirements().
			WithRequests(quantities(cpu, memory)).
			WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)})).
		// tcpSocket: with mutual TLS a kubelet's httpGet has no certificate.
		WithStartupProbe(connects(readyPort).WithFailureThreshold(300)).
		WithReadinessProbe(connects(readyPort).WithFailureThreshold(5)).
		WithVolumeMounts(mount("config", flinkConf).WithReadOnly(true), mount("keys", flinkKeys).WithReadOnly(true), mount("tmp", tmp)))
}

func (in Input) container(c *core.ContainerApplyConfiguration) *core.ContainerApplyConfiguration {
	if in.Platform.PullPolicy != "" {
		c.WithImagePullPolicy(corev1.PullPolicy(in.Platform.PullPolicy))
	}
	return c.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError). // the last lines say why
		WithSecurityContext(core.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(core.Capabilities().WithDrop("ALL")))
}

func (in Input) configVolume(name string, keys ...string) *core.VolumeApplyConfiguration {
	source := core.ConfigMapVolumeSource().WithName(in.name().Config())
	for _, key := range keys {
		source.WithItems(core.KeyToPath().WithKey(key).WithPath(key))
	}
	return core.Volume().WithName(name).WithConfigMap(source)
}

func emptyDirectory(name string) *core.VolumeApplyConfiguration {
	return core.Volume().WithName(name).WithEmptyDir(core.EmptyDirVolumeSource())
}

func mount(name, path string) *core.VolumeMountApplyConfiguration {
	return core.VolumeMount().WithName(name).WithMountPath(path)
}

func field(name, path string) *core.EnvVarApplyConfiguration {
	return core.EnvVar().WithName(name).WithValueFrom(core.EnvVarSource().
		WithFieldRef(core.ObjectFieldSelector().WithFieldPath(path)))
}

func named(name string, number int32) *core.ContainerPortApplyConfiguration {
	return core.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

// scraped is the port of the metrics, where they are served.
func (in Input) scraped() []*core.ContainerPortApplyConfiguration {
	if in.Platform.Monitoring == "" {
		return nil
	}
	return []*core.ContainerPortApplyConfiguration{named("metrics", portScrape)}
}

// connects asks every second: an upgrade waits for the answer.
func connects(port string) *core.ProbeApplyConfiguration {
	return core.Probe().
		WithTCPSocket(core.TCPSocketAction().WithPort(intstr.FromString(port))).
		WithPeriodSeconds(1).WithTimeoutSeconds(1)
}

func quantities(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func selector(labels map[string]string) *meta.LabelSelectorApplyConfiguration {
	return meta.LabelSelector().WithMatchLabels(labels)
}
