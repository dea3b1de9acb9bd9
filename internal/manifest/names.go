package manifest

import (
	"fmt"
	"regexp"
	"strconv"

	"sluice/internal/job"
)

// Role is what a pod of a generation does; also its component label.
type Role string

// The three roles of a generation.
const (
	Client      Role = "client"      // the agent
	JobManager  Role = "jobmanager"  // Flink
	TaskManager Role = "taskmanager" // Flink
)

// Roles in the order in which they start.
var Roles = []Role{Client, JobManager, TaskManager}

// CheckRole says whether text names a role.
func CheckRole(text string) (Role, error) {
	for _, role := range Roles {
		if string(role) == text {
			return role, nil
		}
	}
	return "", fmt.Errorf("%q is not a role: client, jobmanager or taskmanager", text)
}

// Limits of Kubernetes. The longest name made of a job's is a pod's:
// <job>-g<n>-taskmanager-<10>-<5>. 63 − 29 leaves 34 for "<job>-g<n>" with its
// dash and n, so a 30-character job has room up to generation 9; longer pod
// names are cut by Kubernetes itself, and pods are found by label, never by name.
// Names that we choose (the longest: "<job>-g<n>-taskmanager") must fit.
const (
	maxName       = 63
	maxGeneration = 999_999_999
)

// Name is a generation's place among the names: "orders-g7". Every name in a
// tenant's namespace comes from here, and Parse takes them all back.
type Name struct {
	Job        string
	Generation int
}

// Of is the generation's name.
func Of(identity job.Identity, generation int) Name {
	return Name{Job: identity.Name, Generation: generation}
}

// Root is the ConfigMap that owns everything else of the generation.
func (n Name) Root() string { return n.Job + "-g" + strconv.Itoa(n.Generation) }

// Deployment of a role.
func (n Name) Deployment(role Role) string { return n.Root() + "-" + string(role) }

// Service of the client or the JobManager: the same as its Deployment's.
func (n Name) Service(role Role) string { return n.Deployment(role) }

// Config is the ConfigMap with Flink's and the agent's configuration.
func (n Name) Config() string { return n.Root() + "-config" }

// Keys is the Secret with the generation's keys.
func (n Name) Keys() string { return n.Root() + "-keys" }

// Check says what is wrong with the name; nil when every name made from it is
// valid in Kubernetes.
func (n Name) Check() error {
	if wrong := job.CheckName(n.Job); wrong != "" {
		return fmt.Errorf("job name %q %s", n.Job, wrong)
	}
	if n.Job == reservedServiceAccount {
		return fmt.Errorf("a job can't be named %q: its service account would be the namespace's own", n.Job)
	}
	if n.Generation < 1 || n.Generation > maxGeneration {
		return fmt.Errorf("generation %d is not between 1 and %d", n.Generation, maxGeneration)
	}
	if name := n.Deployment(TaskManager); len(name) > maxName {
		return fmt.Errorf("name %q has %d characters; Kubernetes allows %d", name, len(name), maxName)
	}
	return nil
}

// reservedServiceAccount exists in every namespace, and every pod without an
// account of its own uses it.
const reservedServiceAccount = "default"

// The job's part is greedy: a job may itself be called "orders-g2".
var parsed = regexp.MustCompile(`^([a-z][-a-z0-9]*)-g([1-9][0-9]{0,8})(?:-(client|jobmanager|taskmanager|config|keys))?$`)

// Parse takes the name of an object of a generation apart. part is "" for the
// root, else a role, "config" or "keys".
func Parse(text string) (name Name, part string, ok bool) {
	match := parsed.FindStringSubmatch(text)
	if match == nil {
		return Name{}, "", false
	}
	generation, err := strconv.Atoi(match[2])
	if err != nil {
		return Name{}, "", false
	}
	return Name{Job: match[1], Generation: generation}, match[3], true
}
