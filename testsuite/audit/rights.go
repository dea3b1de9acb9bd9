package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	rbac "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"sluice/internal/job"
	"sluice/internal/manifest"
)

// Places that aren't a tenant's.
const (
	System  = "sluice-system" // the platform's own namespace
	Cluster = "cluster"       // what is in no namespace
)

// Right is one verb on one resource, of one process, at one place.
type Right struct {
	Process  string // api, worker or agent
	Place    string // System, Cluster, or "tenant": each tenant's namespace
	Resource string // as Event.Resource
	Verb     string
}

func (r Right) String() string {
	return fmt.Sprintf("%-7s %-14s %-8s %s", r.Process, r.Place, r.Verb, r.Resource)
}

// Granted are the rights that manifests of deploy/ give to service accounts of
// the platform, and those that it gives to each job's agent. files are paths of
// YAML files; one in a folder "tenant" is for tenants' namespaces.
func Granted(files ...string) ([]Right, error) {
	var all []Right
	for _, file := range files {
		place := System
		if strings.Contains(file, "/tenant/") {
			place = "tenant"
		}
		rules, wide, err := roles(file)
		if err != nil {
			return nil, err
		}
		for _, rule := range rules {
			all = append(all, rights("worker", place, rule)...) // the api has no rights
		}
		for _, rule := range wide {
			all = append(all, rights("worker", Cluster, rule)...)
		}
	}
	return append(all, ofAgents()...), nil
}

func ofAgents() []Right {
	var all []Right
	role := manifest.Input{Identity: job.Identity{Ref: job.Ref{Tenant: "t", Name: "j"}, Namespace: "n"}, Generation: 1}.AccessRole()
	for _, rule := range role.Rules {
		all = append(all, rights("agent", "tenant", rbac.PolicyRule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources})...)
	}
	return all
}

// nodeReader is the one role for the whole cluster.
const nodeReader = "sluice-worker-nodes"

// roles are the rules for a namespace, and the one rule for the whole cluster that
// there may be: reading nodes, which are in no namespace.
func roles(file string) (rules, wide []rbac.PolicyRule, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var role struct {
			rbac.ClusterRole `json:",inline"` // a Role has the same fields
			RoleRef          rbac.RoleRef     `json:"roleRef"` // a binding's
		}
		err := documents.Decode(&role)
		if errors.Is(err, io.EOF) {
			return rules, wide, nil
		}
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		case role.Kind == "ClusterRoleBinding" && role.RoleRef.Name != nodeReader:
			return nil, nil, fmt.Errorf("%s: ClusterRoleBinding %s: on the whole cluster the platform may only get nodes, by %s", file, role.Name, nodeReader)
		case role.Kind == "ClusterRole" && !onlyGetsNodes(role.Rules):
			return nil, nil, fmt.Errorf("%s: ClusterRole %s: on the whole cluster the platform may only get nodes", file, role.Name)
		case role.Kind == "ClusterRole":
			wide = append(wide, role.Rules...)
		case role.Kind == "Role":
			rules = append(rules, role.Rules...)
		}
	}
}

func onlyGetsNodes(rules []rbac.PolicyRule) bool {
	return len(rules) == 1 && slices.Equal(rules[0].Verbs, []string{"get"}) &&
		slices.Equal(rules[0].APIGroups, []string{""}) && slices.Equal(rules[0].Resources, []string{"nodes"})
}

func rights(process, place string, rule rbac.PolicyRule) []Right {
	var all []Right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			if group != "" {
				resource += "." + group
			}
			for _, verb := range rule.Verbs {
				all = append(all, Right{process, place, resource, verb})
			}
		}
	}
	return all
}

// Proof compares the rights with the log.
type Proof struct {
	Used    map[Right]int
	Lent    []Right // held only because the agents' Role gives them, as Kubernetes wants it; or list beside a watch that sends the same
	Unused  []Right
	Foreign map[Right]int // used without being granted here
	Refused []string      // requests that were answered with 403
}

// OK says that there is no difference.
func (p Proof) OK() bool { return len(p.Unused)+len(p.Foreign)+len(p.Refused) == 0 }

// Prove looks at every event of the platform's service accounts.
func Prove(granted []Right, events []Event) Proof {
	p := Proof{Used: map[Right]int{}, Foreign: map[Right]int{}}
	for _, e := range events {
		process, place := who(e)
		if process == "" {
			continue
		}
		if e.Status.Code == 403 {
			p.Refused = append(p.Refused, fmt.Sprintf("%s %s %s %s/%s", e.At.Format("15:04:05"), process, e.Verb, e.Object.Namespace, e.URI))
			continue
		}
		verbs := []string{e.Verb}
		if e.Verb == "patch" && e.Status.Code == 201 { // an apply that made the object needed create too
			verbs = append(verbs, "create")
		}
		for _, verb := range verbs {
			right := Right{process, place, e.Resource(), verb}
			if slices.Contains(granted, right) {
				p.Used[right]++
			} else {
				p.Foreign[right]++
			}
		}
	}
	for _, right := range granted {
		lent := Right{"agent", right.Place, right.Resource, right.Verb}
		watched := Right{right.Process, right.Place, right.Resource, "watch"} // an informer lists where its watch can't begin
		switch {
		case p.Used[right] > 0:
		case right.Process == "worker" && slices.Contains(granted, lent) && p.Used[lent] > 0:
			p.Lent = append(p.Lent, right)
		case right.Verb == "list" && p.Used[watched] > 0:
			p.Lent = append(p.Lent, right)
		default:
			p.Unused = append(p.Unused, right)
		}
	}
	return p
}

// who is the process behind a service account, and the place of what it asked for.
func who(e Event) (process, place string) {
	account, ok := strings.CutPrefix(e.User.Username, "system:serviceaccount:")
	if !ok {
		return "", ""
	}
	namespace, name, _ := strings.Cut(account, ":")
	switch {
	case namespace == System && (name == "worker" || name == "api"):
		process = name
	case strings.HasPrefix(e.Agent, "sluice-agent/"):
		process = "agent"
	default:
		return "", ""
	}
	switch {
	case e.Object.Namespace == System:
		return process, System
	case e.Object.Resource == "nodes":
		return process, Cluster
	}
	return process, "tenant"
}
