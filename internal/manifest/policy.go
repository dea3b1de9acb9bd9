package manifest

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"
	network "k8s.io/client-go/applyconfigurations/networking/v1"

	"sluice/internal/agentapi"
)

// labelNamespace is on every namespace, with its name.
const labelNamespace = "kubernetes.io/metadata.name"

// The platform's pods that call an agent (deploy/base): the worker with commands,
// the api for people who look at Flink. Which of them may what the agent decides by
// their keys.
var (
	workerPods = map[string]string{LabelName: "sluice-worker"}
	apiPods    = map[string]string{LabelName: "sluice-api"}
)

// Policies say who may reach a role's pods at all; the keys decide the rest.
// They are a second wall: not every network enforces them, and the data plane
// and the metrics have no other. What the pods themselves call is the job's
// business. Kubelets come through every policy.
func (in Input) Policies(rootUID string) []*network.NetworkPolicyApplyConfiguration {
	return []*network.NetworkPolicyApplyConfiguration{
		in.policy(rootUID, Client,
			from(in.platform(workerPods), agentapi.Port),
			from(in.platform(apiPods), agentapi.Port)),
		in.policy(rootUID, JobManager,
			from(in.own(Client), PortREST),
			from(in.own(TaskManager), PortRPC, PortBlob)),
		in.policy(rootUID, TaskManager,
			from(in.own(JobManager)), // its RPC and metrics are at other ports after each restart
			from(in.own(TaskManager), portData)),
	}
}

func (in Input) policy(rootUID string, role Role, rules ...*network.NetworkPolicyIngressRuleApplyConfiguration) *network.NetworkPolicyApplyConfiguration {
	if in.Platform.Monitoring != "" {
		port := int32(portScrape)
		if role == Client {
			port = agentapi.MetricsPort
		}
		rules = append(rules, from(network.NetworkPolicyPeer().WithNamespaceSelector(namespace(in.Platform.Monitoring)), port))
	}
	return network.NetworkPolicy(in.name().Deployment(role), in.Identity.Namespace).
		WithLabels(in.labels(string(role))).
		WithAnnotations(in.annotations()).
		WithOwnerReferences(in.owner(rootUID)).
		WithSpec(network.NetworkPolicySpec().
			WithPodSelector(selector(Selector(in.name(), role))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(rules...))
}

// own are the generation's pods of a role.
func (in Input) own(role Role) *network.NetworkPolicyPeerApplyConfiguration {
	return network.NetworkPolicyPeer().WithPodSelector(selector(Selector(in.name(), role)))
}

// platform are pods of the platform's own namespace.
func (in Input) platform(labels map[string]string) *network.NetworkPolicyPeerApplyConfiguration {
	return network.NetworkPolicyPeer().
		WithNamespaceSelector(namespace(in.Platform.Namespace)).
		WithPodSelector(selector(labels))
}

func namespace(name string) *meta.LabelSelectorApplyConfiguration {
	return selector(map[string]string{labelNamespace: name})
}

// from lets a peer in, at these ports or, without any, at all.
func from(peer *network.NetworkPolicyPeerApplyConfiguration, ports ...int32) *network.NetworkPolicyIngressRuleApplyConfiguration {
	rule := network.NetworkPolicyIngressRule().WithFrom(peer)
	for _, number := range ports {
		rule.WithPorts(network.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(number)))
	}
	return rule
}
