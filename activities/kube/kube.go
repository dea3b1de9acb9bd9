// Package kube implements the activities of activities/kube.go: the writer
// lease and a generation's objects. Each unpacks, calls internal/lease,
// internal/manifest or internal/kube, and reports progress; it decides nothing.
// Errors are failure.Error; the worker's interceptor converts them.
package kube

import (
	"time"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/lease"
	"sluice/internal/manifest"
	"sluice/internal/pki"
)

// Config is what the activities need to know of their site.
type Config struct {
	Site string
	// Engines maps an engine version to its image.
	Engines map[job.Engine]string
	// AgentImage of every tenant that has none of its own.
	AgentImage string
	// Tenants of the site by name. An identity with another tenant or namespace is
	// refused: this worker's rights end there.
	Tenants    map[string]Tenant
	HDFSURI    string // "hdfs://host:port"
	HDFS       agentapi.HDFS
	PullPolicy string // "": Kubernetes decides
	Collector  string // OTLP endpoint of the agents' traces; "": none
	Namespace  string // the platform's own
	Monitoring string // namespace that scrapes Flink's metrics; "": none does
	// Authority issues the agents' certificates.
	Authority *pki.Authority
	// Placement is how long pods may wait for room; 0: for ever.
	Placement time.Duration
}

// Tenant is an owner of jobs at this site.
type Tenant struct {
	Namespace  string
	AgentImage string // "": Config.AgentImage
}

// Activities holds the site's cluster. Make it with New.
type Activities struct {
	config  Config
	cluster *kube.Cluster
	lease   lease.Client
}

// New makes the activities of a site.
func New(config Config, cluster *kube.Cluster) *Activities {
	return &Activities{config: config, cluster: cluster, lease: lease.Client{API: cluster.CoordinationV1()}}
}

// Register registers every activity by its Def's name.
func (a *Activities) Register(registry activities.Registry) {
	activities.Register(registry, activities.ReadLease, a.ReadLease)
	activities.Register(registry, activities.ReserveGeneration, a.ReserveGeneration)
	activities.Register(registry, activities.PlaceHold, a.PlaceHold)
	activities.Register(registry, activities.TakeHold, a.TakeHold)
	activities.Register(registry, activities.MoveLease, a.MoveLease)
	activities.Register(registry, activities.RecordOutcome, a.RecordOutcome)
	activities.Register(registry, activities.ReleaseHold, a.ReleaseHold)
	activities.Register(registry, activities.CheckSecrets, a.CheckSecrets)
	activities.Register(registry, activities.ApplyGeneration, a.ApplyGeneration)
	activities.Register(registry, activities.AwaitGeneration, a.AwaitGeneration)
	activities.Register(registry, activities.ScaleDownWorkers, a.ScaleDownWorkers)
	activities.Register(registry, activities.RestoreWorkers, a.RestoreWorkers)
	activities.Register(registry, activities.ScaleDownGeneration, a.ScaleDownGeneration)
	activities.Register(registry, activities.RestoreGeneration, a.RestoreGeneration)
	activities.Register(registry, activities.ScaleWorkers, a.ScaleWorkers)
	activities.Register(registry, activities.NoteSize, a.NoteSize)
	activities.Register(registry, activities.RemoveGeneration, a.RemoveGeneration)
	activities.Register(registry, activities.LookAtQuota, a.LookAtQuota)
	activities.Register(registry, activities.UnheardContainers, a.UnheardContainers)
	activities.Register(registry, activities.DeclareEnded, a.DeclareEnded)
}

// tenant finds the identity's tenant and checks that it is really there that
// the identity lives.
func (a *Activities) tenant(identity job.Identity) (Tenant, error) {
	tenant, known := a.config.Tenants[identity.Tenant]
	switch {
	case identity.Site != a.config.Site:
		return tenant, failure.New(failure.Internal, "job %s lives at site %s, this is %s", identity.Ref, identity.Site, a.config.Site)
	case !known:
		return tenant, failure.New(failure.Refused, "site %s doesn't serve tenant %s", a.config.Site, identity.Tenant).
			WithNext("add the tenant to the worker's configuration (tenants) and apply deploy/tenant")
	case tenant.Namespace != identity.Namespace:
		return tenant, failure.New(failure.Refused, "job %s says namespace %s, but tenant %s has %s", identity.Ref, identity.Namespace, identity.Tenant, tenant.Namespace)
	}
	return tenant, nil
}

func (a *Activities) input(in activities.GenerationIn) (manifest.Input, error) {
	tenant, err := a.tenant(in.Identity)
	if err != nil {
		return manifest.Input{}, err
	}
	engine := in.Revision.Spec.Engine
	image, known := a.config.Engines[engine]
	if !known {
		return manifest.Input{}, failure.New(failure.Invalid, "site %s has no image for %s %s", a.config.Site, engine.Name, engine.Version).
			WithNext("add it to the worker's configuration (engines)")
	}
	agent := tenant.AgentImage
	if agent == "" {
		agent = a.config.AgentImage
	}
	input := manifest.Input{
		Identity: in.Identity, Operation: in.Operation, Generation: in.Generation,
		Revision: in.Revision, Profile: in.Profile,
		Platform: manifest.Platform{
			EngineImage: image, AgentImage: agent, PullPolicy: a.config.PullPolicy,
			HDFSURI: a.config.HDFSURI, HDFS: a.config.HDFS, Collector: a.config.Collector,
			Namespace: a.config.Namespace, Monitoring: a.config.Monitoring,
		},
	}
	if err := input.Check(); err != nil {
		return input, failure.Wrap(failure.Invalid, err, "generation %d of %s can't be made", in.Generation, in.Identity.Ref)
	}
	return input, nil
}
