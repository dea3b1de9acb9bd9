package manifest

import "strconv"

// Labels: the recommended ones of Kubernetes and ours. Values are names,
// numbers and ULIDs: always valid, never longer than 63 characters.
const (
	LabelName       = "app.kubernetes.io/name"
	LabelInstance   = "app.kubernetes.io/instance"
	LabelComponent  = "app.kubernetes.io/component"
	LabelManagedBy  = "app.kubernetes.io/managed-by"
	LabelPartOf     = "app.kubernetes.io/part-of"
	LabelVersion    = "app.kubernetes.io/version"
	LabelTenant     = "sluice.io/tenant"
	LabelJob        = "sluice.io/job"
	LabelGeneration = "sluice.io/generation"
	LabelOperation  = "sluice.io/operation"
)

// Annotations.
const (
	AnnotationJobUID   = "sluice.io/job-uid"
	AnnotationRevision = "sluice.io/revision"
	AnnotationProfile  = "sluice.io/profile"
	AnnotationWorkers  = "sluice.io/task-managers" // how many the generation was made with
)

// ManagedBy is the value of LabelManagedBy on everything that is ours.
const ManagedBy = "sluice"

// ProofFinalizer is on every pod that runs user code. The observer alone takes
// it away, after it recorded how the pod's containers ended: until then the
// kubelet's state.terminated, the only proof of an end, can't get lost.
const ProofFinalizer = "sluice.io/proof"

// The field managers. A concern never writes another's fields, and none
// forces: a conflict that names somebody else is a finding to show.
const (
	ManagerJob        = "sluice/job"        // service account and rights of a job
	ManagerGeneration = "sluice/generation" // everything that a generation's root owns
	ManagerDeclared   = "sluice/declared"   // what a person said of a pod's containers
)

// jobLabels are on what outlives generations.
func (in Input) jobLabels() map[string]string {
	return map[string]string{
		LabelName:      in.Revision.Spec.Engine.Name,
		LabelInstance:  in.Identity.Name,
		LabelManagedBy: ManagedBy,
		LabelPartOf:    ManagedBy,
		LabelTenant:    in.Identity.Tenant,
		LabelJob:       in.Identity.Name,
	}
}

// labels are on what belongs to the generation.
func (in Input) labels(component string) map[string]string {
	labels := in.jobLabels()
	labels[LabelComponent] = component
	labels[LabelVersion] = in.Revision.Spec.Engine.Version
	labels[LabelGeneration] = strconv.Itoa(in.Generation)
	labels[LabelOperation] = in.Operation
	return labels
}

// JobLabels are the labels of objects that belong to a job and to none of its
// generations, e.g. its Lease.
func JobLabels(tenant, name string) map[string]string {
	return map[string]string{
		LabelInstance:  name,
		LabelManagedBy: ManagedBy,
		LabelPartOf:    ManagedBy,
		LabelTenant:    tenant,
		LabelJob:       name,
	}
}

// Selector finds the pods of one role; it can never change on a Deployment.
func Selector(name Name, role Role) map[string]string {
	selector := GenerationSelector(name)
	selector[LabelComponent] = string(role)
	return selector
}

// GenerationSelector finds everything of a generation.
func GenerationSelector(name Name) map[string]string {
	return map[string]string{
		LabelManagedBy:  ManagedBy,
		LabelJob:        name.Job,
		LabelGeneration: strconv.Itoa(name.Generation),
	}
}

func (in Input) annotations() map[string]string {
	return map[string]string{
		AnnotationJobUID:   in.Identity.UID,
		AnnotationRevision: strconv.Itoa(in.Revision.Number),
		AnnotationProfile:  in.Profile.Name,
		AnnotationWorkers:  strconv.Itoa(in.Profile.TaskManager.Replicas),
	}
}
