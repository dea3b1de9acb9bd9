// Package job holds the domain: names, ids, paths, revisions, profiles and
// their validation. It is pure: no I/O, no clock, no randomness, so that
// workflow code, the api, the agent and the cli may all use it.
package job

import (
	"fmt"
	"regexp"
)

// Ref names a job: "tenant/name".
type Ref struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
}

// String is "tenant/name".
func (r Ref) String() string { return r.Tenant + "/" + r.Name }

// WorkflowID is the lock: one open run of a flow a job (DESIGN §3).
func (r Ref) WorkflowID() string { return "job/" + r.Tenant + "/" + r.Name }

// PlanWorkflowID is that of one plan; plans don't hold the lock.
func (r Ref) PlanWorkflowID(plan string) string {
	return "plan/" + r.Tenant + "/" + r.Name + "/" + plan
}

// Identity is what never changes in a job's life. The UID (a ULID made at
// creation) is in every path and id, so that a job that is deleted and made
// again shares nothing with the first.
type Identity struct {
	Ref
	UID       string `json:"uid"`
	Site      string `json:"site"`
	Namespace string `json:"namespace"` // Kubernetes namespace of the tenant
	FS        string `json:"fs"`        // the site's file system, before every path that Flink gets: hdfs://host:port
}

// SiteQueue is the Temporal task queue of a site's activities.
func SiteQueue(site string) string { return "site/" + site }

// FlowQueue is the Temporal task queue of all workflow code.
const FlowQueue = "flow"

// MaxNameLength leaves room for "-g<n>-taskmanager-<hash>-<hash>" within the
// 63 characters of a Kubernetes name.
const MaxNameLength = 30

var dns1123 = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// CheckName says what is wrong with a tenant's, job's or profile's name;
// empty when nothing is.
func CheckName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > MaxNameLength:
		return fmt.Sprintf("has %d characters; at most %d are allowed", len(name), MaxNameLength)
	case !dns1123.MatchString(name):
		return "must be lower-case letters, digits and '-', start with a letter and end with a letter or digit"
	}
	return ""
}
