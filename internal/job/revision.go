package job

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Spec is the declarative body of a revision: all that decides how a job runs,
// apart from its size (the profile).
type Spec struct {
	Engine     Engine `json:"engine"`
	Artifact   string `json:"artifact"`   // "sha256:<hex>", the job's jar
	EntryClass string `json:"entryClass"` // fully qualified main class
	// Dependencies are further artifacts for the job's class path, searched in this
	// order: connectors, formats, UDFs.
	Dependencies []string          `json:"dependencies,omitempty"` // "sha256:<hex>"
	Kafka        *Kafka            `json:"kafka,omitempty"`        // nil: no transactions of Kafka's
	Arguments    []string          `json:"arguments,omitempty"`    // passed to main as they are
	Options      map[string]string `json:"options,omitempty"`      // Flink options; those the platform owns are refused
	Secrets      []Secret          `json:"secrets,omitempty"`      // by reference: values never come here
}

// Engine names an engine version, never an image.
type Engine struct {
	Name    string `json:"name"`    // "flink"
	Version string `json:"version"` // e.g. "1.20.5"
}

// Revision is a numbered, immutable Spec.
type Revision struct {
	Number int    `json:"number"`
	Digest string `json:"digest"` // "sha256:<hex>" of the canonical Spec
	Spec   Spec   `json:"spec"`
}

// Digest is the SHA-256 of the Spec's canonical JSON (Go's encoding sorts map
// keys): equal specs have equal digests.
func (s Spec) Digest() string { return digestOf(s) }

// Profile is a named size.
type Profile struct {
	Name        string      `json:"name"`
	JobManager  Role        `json:"jobManager"`
	TaskManager TaskManager `json:"taskManager"`
	Parallelism int         `json:"parallelism"` // ≤ replicas × slots
}

// Role is what one pod may use.
type Role struct {
	CPU       string `json:"cpu"`       // Kubernetes quantity, e.g. "500m"
	MemoryMiB int    `json:"memoryMiB"` // total process memory in MiB
	JVM       JVM    `json:"jvm,omitempty"`
}

// JVM says what a role's JVM is tuned for.
type JVM string

const (
	// QuickStart compiles once and lightly: ready in about half the CPU time and
	// with less memory, but hot code stays slower. A
	// JobManager's default: it moves no records.
	QuickStart JVM = "quick-start"
	// Throughput leaves compilers and collector to the JVM, which chooses by CPU
	// and memory. A TaskManager's default.
	Throughput JVM = "throughput"
)

// TaskManager sizes the workers of a generation.
type TaskManager struct {
	Role
	Replicas int `json:"replicas"`
	Slots    int `json:"slots"` // per TaskManager
}

// Slots is the number of slots that the profile provides.
func (p Profile) Slots() int { return p.TaskManager.Replicas * p.TaskManager.Slots }

// Digest is the SHA-256 of the profile's canonical JSON.
func (p Profile) Digest() string { return digestOf(p) }

func digestOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // only plain data types are passed
		panic(err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Artifacts are all files of the tenant's that the spec names, the job's jar first.
func (s Spec) Artifacts() []string { return append([]string{s.Artifact}, s.Dependencies...) }

// CPUMillis is the profile's cpu in thousandths of a core; unreadable
// quantities count as 0 (validation refuses them).
func (p Profile) CPUMillis() int64 {
	return millis(p.JobManager.CPU) + int64(p.TaskManager.Replicas)*millis(p.TaskManager.CPU)
}

func millis(cpu string) int64 {
	q, err := resource.ParseQuantity(cpu)
	if err != nil {
		return 0
	}
	return q.MilliValue()
}
