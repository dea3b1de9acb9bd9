package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/kube/answer"
	"sluice/internal/lease"
	"sluice/internal/manifest"
	"sluice/internal/pki"
)

// ApplyGeneration makes or completes a generation's objects: 15 requests, 16
// with TaskManagers, in four rounds. A repeat makes the same objects again.
//
//  1. the root, by create (and a get if it is there)
//  2. the Lease: a retired generation must not come back. Read after the root was
//     made: whoever retires it later deletes a root that is already there
//  3. what pods need to start: account, rights, configuration, keys, addresses, policies
//  4. the Deployments, and what needs something of round 3
func (a *Activities) ApplyGeneration(ctx context.Context, in activities.GenerationIn) (activities.GenerationOut, error) {
	input, err := a.input(in)
	if err != nil {
		return activities.GenerationOut{}, err
	}
	return effect.Do(ctx, effect.ApplyGeneration, manifest.Of(in.Identity, in.Generation).Root(), func(ctx context.Context) (activities.GenerationOut, error) {
		return a.applyGeneration(ctx, in, input)
	})
}

func (a *Activities) applyGeneration(ctx context.Context, in activities.GenerationIn, input manifest.Input) (activities.GenerationOut, error) {
	root, err := a.makeRoot(ctx, input)
	if err != nil {
		return activities.GenerationOut{}, err
	}
	rootUID := string(root.UID)
	out := activities.GenerationOut{RootUID: rootUID, Objects: []string{"ConfigMap/" + root.Name}}
	if err := a.checkStanding(ctx, in, root); err != nil {
		return out, err
	}
	first, second, err := objects(input, rootUID, in.Workers)
	if err != nil {
		return out, failure.Wrap(failure.Invalid, err, "generation %d of %s can't be made", in.Generation, in.Identity.Ref)
	}
	keys, err := a.keysSecret(input, rootUID)
	if err != nil {
		return out, err
	}
	calls := a.applies(first)
	calls = append(calls, func(ctx context.Context) error {
		return a.cluster.CreateSecret(ctx, manifest.ManagerGeneration, keys)
	})
	if err := parallel(ctx, calls); err != nil {
		return out, err
	}
	if err := parallel(ctx, a.applies(second)); err != nil {
		return out, err
	}
	out.Objects = append(out.Objects, "Secret/"+manifest.Of(in.Identity, in.Generation).Keys())
	for _, o := range append(first, second...) {
		out.Objects = append(out.Objects, kube.Describe(o.object))
	}
	return out, nil
}

// managed is an object with the concern that writes it.
type managed struct {
	manager string
	object  kube.Object
}

func objects(input manifest.Input, rootUID string, workers bool) (first, second []managed, err error) {
	config, err := input.Config(rootUID)
	if err != nil {
		return nil, nil, err
	}
	jobManager, err := input.JobManagerDeployment(rootUID)
	if err != nil {
		return nil, nil, err
	}
	first = []managed{
		{manifest.ManagerJob, input.ServiceAccount()},
		{manifest.ManagerJob, input.AccessRole()},
		{manifest.ManagerGeneration, config},
		{manifest.ManagerGeneration, input.JobManagerService(rootUID)},
		{manifest.ManagerGeneration, input.ClientService(rootUID)},
	}
	for _, policy := range input.Policies(rootUID) {
		first = append(first, managed{manifest.ManagerGeneration, policy})
	}
	second = []managed{
		// After its role: Kubernetes looks at what a binding gives away.
		{manifest.ManagerJob, input.AccessBinding()},
		{manifest.ManagerGeneration, jobManager},
		{manifest.ManagerGeneration, input.AgentDeployment(rootUID)},
		{manifest.ManagerGeneration, input.JobManagerBudget(rootUID)},
	}
	if workers {
		taskManager, err := input.TaskManagerDeployment(rootUID)
		if err != nil {
			return nil, nil, err
		}
		second = append(second, managed{manifest.ManagerGeneration, taskManager})
	}
	return first, second, nil
}

func (a *Activities) applies(list []managed) []func(context.Context) error {
	calls := make([]func(context.Context) error, 0, len(list)+1)
	for _, m := range list {
		calls = append(calls, func(ctx context.Context) error { return a.cluster.Apply(ctx, m.manager, m.object) })
	}
	return calls
}

// parallel makes all calls at once and returns the first failure; the others
// are waited for, so that none is in flight when the activity ends.
func parallel(ctx context.Context, calls []func(context.Context) error) error {
	errs := make([]error, len(calls))
	var group sync.WaitGroup
	for i, call := range calls {
		group.Go(func() { errs[i] = call(ctx) })
	}
	group.Wait()
	// A definite failure says more than one that may pass.
	var passing error
	for _, err := range errs {
		if err != nil && !failure.Of(err).Retryable() {
			return err
		}
		if passing == nil {
			passing = err
		}
	}
	return passing
}

func (a *Activities) makeRoot(ctx context.Context, input manifest.Input) (*core.ConfigMap, error) {
	wanted := rootConfigMap(input)
	root, existed, err := a.cluster.CreateConfigMap(ctx, manifest.ManagerGeneration, wanted)
	if err != nil {
		return nil, err
	}
	if !existed {
		return root, nil
	}
	what := fmt.Sprintf("ConfigMap %s/%s", root.Namespace, root.Name)
	switch {
	case root.DeletionTimestamp != nil:
		return nil, failure.New(failure.Refused, "%s is being removed", what)
	case root.Annotations[manifest.AnnotationJobUID] != input.Identity.UID:
		return nil, failure.New(failure.Conflict, "%s belongs to another job of this name (uid %s)", what, root.Annotations[manifest.AnnotationJobUID]).
			WithNext("remove what is left of the deleted job: kubectl -n %s delete configmap %s", root.Namespace, root.Name)
	}
	for _, key := range []string{manifest.RootOperation, manifest.RootRevision, manifest.RootProfile} {
		if root.Data[key] != wanted.Data[key] {
			return nil, failure.New(failure.Conflict, "%s was made for %s %s, not %s", what, key, root.Data[key], wanted.Data[key])
		}
	}
	return root, nil
}

// checkStanding refuses a generation that was retired, and takes back the root
// that a late call made of one.
func (a *Activities) checkStanding(ctx context.Context, in activities.GenerationIn, root *core.ConfigMap) error {
	state, err := a.lease.Get(ctx, key(in.Identity))
	if err != nil {
		return err
	}
	if state.Standing(in.Generation) != lease.Retired {
		return nil
	}
	if err := a.cluster.DeleteConfigMap(ctx, root.Namespace, root.Name, root.UID); err != nil {
		return err
	}
	return failure.New(failure.Refused, "generation %d of %s is retired: it is not made again", in.Generation, in.Identity.Ref)
}

// settles is how long a pod may take to end that was told to: the kubelet's grace, and
// as much again for a busy node.
const settles = time.Minute

// AwaitGeneration waits until the asked roles' Deployments are available.
func (a *Activities) AwaitGeneration(ctx context.Context, in activities.AwaitGenerationIn) (activities.AwaitGenerationOut, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.AwaitGenerationOut{}, err
	}
	name := manifest.Of(in.Identity, in.Generation)
	wanted := kube.Wanted{
		Namespace: in.Identity.Namespace,
		Selector:  manifest.GenerationSelector(name),
		Since:     activity.GetInfo(ctx).ScheduledTime, // also right after a worker was killed in the middle
		Placement: a.config.Placement,
	}
	if in.Settled {
		wanted.Settled = settles
	}
	if in.RoomSince != "" {
		made, err := time.Parse(time.RFC3339, in.RoomSince)
		if err != nil {
			return activities.AwaitGenerationOut{}, failure.Wrap(failure.Internal, err, "await generation: roomSince")
		}
		wanted.RoomSince = made
	}
	for _, text := range in.Roles {
		role, err := manifest.CheckRole(text)
		if err != nil {
			return activities.AwaitGenerationOut{}, failure.Wrap(failure.Internal, err, "await generation")
		}
		wanted.Names = append(wanted.Names, name.Deployment(role))
	}
	ready, err := a.cluster.AwaitAvailable(ctx, wanted, func(line string) { activity.RecordHeartbeat(ctx, line) })
	out := activities.AwaitGenerationOut{ReadyMS: map[string]int64{}}
	for deployment, ms := range ready {
		if _, role, ok := manifest.Parse(deployment); ok {
			out.ReadyMS[role] = ms
		}
	}
	return out, err
}

// ScaleDownWorkers takes the TaskManagers away; the JobManager and the agent
// stay. One that never had any is fine.
func (a *Activities) ScaleDownWorkers(ctx context.Context, in activities.GenerationRef) (activities.None, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.None{}, err
	}
	name := manifest.Of(in.Identity, in.Generation)
	return effect.Do(ctx, effect.ApplyGeneration, name.Deployment(manifest.TaskManager)+" 0", func(ctx context.Context) (activities.None, error) {
		return activities.None{}, a.cluster.Scale(ctx, manifest.ManagerGeneration, in.Identity.Namespace, name.Deployment(manifest.TaskManager), 0)
	})
}

// RestoreWorkers undoes ScaleDownWorkers.
func (a *Activities) RestoreWorkers(ctx context.Context, in activities.GenerationRef) (activities.None, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.None{}, err
	}
	name := manifest.Of(in.Identity, in.Generation).Deployment(manifest.TaskManager)
	return effect.Do(ctx, effect.ApplyGeneration, name+" back", func(ctx context.Context) (activities.None, error) {
		return activities.None{}, a.cluster.ScaleBack(ctx, manifest.ManagerGeneration, in.Identity.Namespace, name, manifest.AnnotationWorkers)
	})
}

// ScaleDownGeneration takes all pods away; what they were made from stays.
func (a *Activities) ScaleDownGeneration(ctx context.Context, in activities.GenerationRef) (activities.None, error) {
	return a.scaleAll(ctx, in, " 0", func(ctx context.Context, deployment string, _ manifest.Role) error {
		return a.cluster.Scale(ctx, manifest.ManagerGeneration, in.Identity.Namespace, deployment, 0)
	})
}

// RestoreGeneration undoes ScaleDownGeneration and ScaleDownWorkers.
func (a *Activities) RestoreGeneration(ctx context.Context, in activities.GenerationRef) (activities.None, error) {
	return a.scaleAll(ctx, in, " back", func(ctx context.Context, deployment string, role manifest.Role) error {
		if role == manifest.TaskManager {
			return a.cluster.ScaleBack(ctx, manifest.ManagerGeneration, in.Identity.Namespace, deployment, manifest.AnnotationWorkers)
		}
		return a.cluster.Scale(ctx, manifest.ManagerGeneration, in.Identity.Namespace, deployment, 1)
	})
}

func (a *Activities) scaleAll(ctx context.Context, in activities.GenerationRef, what string, scale func(context.Context, string, manifest.Role) error) (activities.None, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.None{}, err
	}
	name := manifest.Of(in.Identity, in.Generation)
	return effect.Do(ctx, effect.ApplyGeneration, name.Root()+what, func(ctx context.Context) (activities.None, error) {
		var calls []func(context.Context) error
		for _, role := range manifest.Roles {
			calls = append(calls, func(ctx context.Context) error { return scale(ctx, name.Deployment(role), role) })
		}
		return activities.None{}, parallel(ctx, calls)
	})
}

// ScaleWorkers brings the TaskManagers to another number; the pods named as spare
// go first where some go.
func (a *Activities) ScaleWorkers(ctx context.Context, in activities.WorkersIn) (activities.None, error) {
	if _, err := a.tenant(in.Identity); err != nil {
		return activities.None{}, err
	}
	name := manifest.Of(in.Identity, in.Generation)
	deployment := name.Deployment(manifest.TaskManager)
	return effect.Do(ctx, effect.ScaleWorkers, fmt.Sprintf("%s %d", deployment, in.Replicas), func(ctx context.Context) (activities.None, error) {
		for _, pod := range in.Spare {
			if err := a.cluster.DeleteFirst(ctx, manifest.ManagerGeneration, in.Identity.Namespace, pod); err != nil {
				return activities.None{}, err
			}
		}
		return activities.None{}, a.cluster.Resize(ctx, manifest.ManagerGeneration, in.Identity.Namespace, deployment, int32(in.Replicas), manifest.AnnotationWorkers)
	})
}

// RemoveGeneration retires the generation on the Lease and then deletes its
// root; Kubernetes collects the rest. Retired first: from then on no late apply
// brings it back and its agent acts no more. Already gone is fine.
func (a *Activities) RemoveGeneration(ctx context.Context, in activities.GenerationRef) (activities.None, error) {
	if _, err := a.update(ctx, in.Identity, func(state lease.State) (lease.State, error) {
		if state.Standing(in.Generation) == lease.Retired {
			return state, nil
		}
		return state.Retire(in.Generation)
	}); err != nil {
		return activities.None{}, err
	}
	name := manifest.Of(in.Identity, in.Generation).Root()
	root, err := a.readRoot(ctx, in.Identity, name)
	if err != nil || root == nil {
		return activities.None{}, err
	}
	return effect.Do(ctx, effect.RemoveGeneration, string(root.UID), func(ctx context.Context) (activities.None, error) {
		return activities.None{}, a.cluster.DeleteConfigMap(ctx, in.Identity.Namespace, name, root.UID)
	})
}

// readRoot is nil when there is none.
func (a *Activities) readRoot(ctx context.Context, identity job.Identity, name string) (*core.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
	defer cancel()
	root, err := a.cluster.CoreV1().ConfigMaps(identity.Namespace).Get(ctx, name, meta.GetOptions{})
	if answer.Absent(err) {
		return nil, nil //nolint:nilnil // "none" is an answer
	}
	if err != nil {
		return nil, kube.Translate(err, fmt.Sprintf("ConfigMap %s/%s", identity.Namespace, name))
	}
	if uid := root.Annotations[manifest.AnnotationJobUID]; uid != identity.UID {
		return nil, failure.New(failure.Conflict, "ConfigMap %s/%s belongs to job uid %s, not %s", identity.Namespace, name, uid, identity.UID)
	}
	return root, nil
}

// rootConfigMap and keysSecret are made by create, which takes objects.
func rootConfigMap(input manifest.Input) *core.ConfigMap {
	from := input.Root()
	return &core.ConfigMap{
		ObjectMeta: meta.ObjectMeta{Name: *from.Name, Namespace: *from.Namespace, Labels: from.Labels, Annotations: from.Annotations},
		Data:       from.Data, Immutable: from.Immutable,
	}
}

// keysSecret holds new keys. Where the generation has its Secret already these
// are thrown away: it keeps its first ones.
func (a *Activities) keysSecret(input manifest.Input, rootUID string) (*core.Secret, error) {
	name := manifest.Of(input.Identity, input.Generation)
	flink, err := pki.NewFlink(name.Root(), name.Service(manifest.JobManager))
	if err != nil {
		return nil, err
	}
	agent, err := a.config.Authority.Issue(pki.AgentOf(input.Identity.UID, input.Generation), agentapi.Host(input.Identity, input.Generation))
	if err != nil {
		return nil, err
	}
	from := input.Keys(rootUID, manifest.Keys{Flink: flink, Agent: agent, Trust: a.config.Authority.Trust()})
	owner := from.OwnerReferences[0]
	return &core.Secret{
		ObjectMeta: meta.ObjectMeta{
			Name: *from.Name, Namespace: *from.Namespace, Labels: from.Labels, Annotations: from.Annotations,
			OwnerReferences: []meta.OwnerReference{{APIVersion: *owner.APIVersion, Kind: *owner.Kind, Name: *owner.Name, UID: *owner.UID}},
		},
		Data: from.Data, Immutable: from.Immutable,
	}, nil
}
