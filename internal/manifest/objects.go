package manifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	policy "k8s.io/client-go/applyconfigurations/policy/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"sluice/internal/agentapi"
)

// ServiceAccount of the job; only its agent's pod uses it.
func (in Input) ServiceAccount() *core.ServiceAccountApplyConfiguration {
	return core.ServiceAccount(in.Identity.Name, in.Identity.Namespace).
		WithLabels(in.jobLabels()).
		WithAnnotations(map[string]string{AnnotationJobUID: in.Identity.UID})
}

// AccessRole is what the agent may do: write its own Lease and see the
// pods of its namespace (which JobManager is it that I talk to?).
func (in Input) AccessRole() *rbac.RoleApplyConfiguration {
	return rbac.Role(in.Identity.Name, in.Identity.Namespace).
		WithLabels(in.jobLabels()).
		WithAnnotations(map[string]string{AnnotationJobUID: in.Identity.UID}).
		WithRules(
			rbac.PolicyRule().WithAPIGroups("coordination.k8s.io").WithResources("leases").
				WithResourceNames(in.Identity.Name).WithVerbs("get", "update"),
			rbac.PolicyRule().WithAPIGroups("").WithResources("pods").WithVerbs("list"),
		)
}

// AccessBinding gives AccessRole to ServiceAccount.
func (in Input) AccessBinding() *rbac.RoleBindingApplyConfiguration {
	return rbac.RoleBinding(in.Identity.Name, in.Identity.Namespace).
		WithLabels(in.jobLabels()).
		WithAnnotations(map[string]string{AnnotationJobUID: in.Identity.UID}).
		WithRoleRef(rbac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(in.Identity.Name)).
		WithSubjects(rbac.Subject().WithKind("ServiceAccount").WithName(in.Identity.Name).WithNamespace(in.Identity.Namespace))
}

// Keys of the ConfigMap's data.
const (
	flinkFile      = "config.yaml"
	log4jFile      = "log4j.properties"
	assignmentFile = "assignment.yaml"
)

// Config is what the processes of the generation read at their start.
func (in Input) Config(rootUID string) (*core.ConfigMapApplyConfiguration, error) {
	flink, err := in.flinkConfig()
	if err != nil {
		return nil, err
	}
	assignment, err := in.assignment()
	if err != nil {
		return nil, err
	}
	return core.ConfigMap(in.name().Config(), in.Identity.Namespace).
		WithLabels(in.labels("config")).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithData(map[string]string{flinkFile: flink, log4jFile: log4j, assignmentFile: assignment}), nil
}

// JobManagerService has an address of its own (not headless): it exists before
// the JobManager does, so no TaskManager's JVM remembers for ten seconds that
// the name is unknown, and a new JobManager pod keeps the address. It leads to
// ready pods only: a JobManager on a node that is gone gets nothing.
func (in Input) JobManagerService(rootUID string) *core.ServiceApplyConfiguration {
	return in.service(rootUID, JobManager,
		port("rest", PortREST), port("rpc", PortRPC), port("blob", PortBlob))
}

// ClientService leads the worker to the agent.
func (in Input) ClientService(rootUID string) *core.ServiceApplyConfiguration {
	return in.service(rootUID, Client, port("agent", agentapi.Port))
}

func (in Input) service(rootUID string, role Role, ports ...*core.ServicePortApplyConfiguration) *core.ServiceApplyConfiguration {
	return core.Service(in.name().Service(role), in.Identity.Namespace).
		WithLabels(in.labels(string(role))).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithSpec(core.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(Selector(in.name(), role)).
			WithPorts(ports...))
}

func port(name string, number int32) *core.ServicePortApplyConfiguration {
	return core.ServicePort().WithName(name).WithProtocol(corev1.ProtocolTCP).
		WithPort(number).WithTargetPort(intstr.FromString(name))
}

// JobManagerBudget forbids drains to take the JobManager: with it goes the job.
// Moving it is an operation's work.
func (in Input) JobManagerBudget(rootUID string) *policy.PodDisruptionBudgetApplyConfiguration {
	return policy.PodDisruptionBudget(in.name().Deployment(JobManager), in.Identity.Namespace).
		WithLabels(in.labels(string(JobManager))).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithSpec(policy.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(0)).
			WithSelector(selector(Selector(in.name(), JobManager))))
}

func uid(text string) types.UID { return types.UID(text) }
