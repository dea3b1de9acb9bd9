// Package manifest turns revision + profile + generation into Kubernetes
// objects (client-go apply configurations). It is pure: the same input gives
// the same objects, byte for byte; no clock, no randomness, no I/O. What it
// returns is sent by internal/kube.
package manifest

import (
	"errors"
	"fmt"
	"time"

	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"

	"sluice/internal/agentapi"
	"sluice/internal/job"
)

// Input is all from which a generation's objects are made.
type Input struct {
	Identity   job.Identity
	Operation  string // that makes it
	Generation int
	Revision   job.Revision
	Profile    job.Profile
	Platform   Platform
}

// Platform is what the site's configuration adds.
type Platform struct {
	EngineImage string // of the revision's engine and version
	AgentImage  string
	PullPolicy  string // "": Kubernetes decides (IfNotPresent for tags other than latest)
	HDFSURI     string // "hdfs://nameservice-or-host:port", no path
	HDFS        agentapi.HDFS
	StopBudget  time.Duration // longest savepoint; 0: 45 minutes
	Collector   string        // OTLP endpoint of the agent's traces; "": none
	Namespace   string        // the platform's own: from there the worker calls agents
	Monitoring  string        // namespace that may scrape Flink's metrics; "": they aren't served
}

func (p Platform) stopBudget() time.Duration {
	if p.StopBudget > 0 {
		return p.StopBudget
	}
	return 45 * time.Minute
}

func (in Input) name() Name { return Of(in.Identity, in.Generation) }

// Check says what is wrong with the input; nil means that everything below can
// be built.
func (in Input) Check() error {
	if err := in.name().Check(); err != nil {
		return err
	}
	if in.Revision.Spec.Engine.Name != "flink" {
		return fmt.Errorf("engine %q is not known; flink is", in.Revision.Spec.Engine.Name)
	}
	if in.Platform.EngineImage == "" || in.Platform.AgentImage == "" {
		return errors.New("the site has no image for this engine version or for the agent")
	}
	if in.Identity.UID == "" || in.Identity.Namespace == "" || in.Operation == "" {
		return errors.New("uid, namespace and operation must be set")
	}
	if in.Platform.Namespace == "" {
		return errors.New("the platform's own namespace must be set (namespace in the worker's configuration)")
	}
	for _, digest := range in.Revision.Spec.Dependencies {
		if _, err := job.ParseDigest(digest); err != nil {
			return fmt.Errorf("dependency %q %w", digest, err)
		}
	}
	for role, cpu := range map[string]string{"jobManager": in.Profile.JobManager.CPU, "taskManager": in.Profile.TaskManager.CPU} {
		if _, err := cores(cpu); err != nil {
			return fmt.Errorf("profile %s: %s.cpu: %w", in.Profile.Name, role, err)
		}
	}
	return CheckProfile(in.Revision.Spec, in.Profile)
}

// owner makes the root the owner: once it is gone Kubernetes collects the
// object, also one that is applied after that.
func (in Input) owner(rootUID string) *meta.OwnerReferenceApplyConfiguration {
	return meta.OwnerReference().WithAPIVersion("v1").WithKind("ConfigMap").WithName(in.name().Root()).WithUID(uid(rootUID))
}

// Root is the ConfigMap that owns the generation. It is made by create, never
// by apply: an apply would bring a removed generation back to life. Its data say
// for what the generation was made, so that a repeat with another revision or
// profile is noticed.
func (in Input) Root() *core.ConfigMapApplyConfiguration {
	return core.ConfigMap(in.name().Root(), in.Identity.Namespace).
		WithLabels(in.labels("root")).
		WithAnnotations(in.annotations()).
		WithImmutable(true).
		WithData(map[string]string{
			RootOperation: in.Operation,
			RootRevision:  in.Revision.Digest,
			RootProfile:   in.Profile.Digest(),
		})
}

// Keys of the root's data.
const (
	RootOperation = "operation"
	RootRevision  = "revision" // digest
	RootProfile   = "profile"  // digest
)
