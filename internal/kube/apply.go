package kube

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	network "k8s.io/client-go/applyconfigurations/networking/v1"
	policy "k8s.io/client-go/applyconfigurations/policy/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"sluice/internal/failure"
	"sluice/internal/kube/answer"
)

// Object is any apply configuration that Apply takes.
type Object interface {
	GetKind() *string
	GetName() *string
	GetNamespace() *string
}

// Describe is "Deployment/orders-g2-client".
func Describe(o Object) string { return *o.GetKind() + "/" + *o.GetName() }

// Apply sends one object by server-side apply as manager, without force: a
// field that somebody else owns is a failure.Conflict that names them.
func (c *Cluster) Apply(ctx context.Context, manager string, object Object) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	namespace, options := *object.GetNamespace(), meta.ApplyOptions{FieldManager: manager}
	var err error
	switch o := object.(type) {
	case *apps.DeploymentApplyConfiguration:
		_, err = c.AppsV1().Deployments(namespace).Apply(ctx, o, options)
	case *core.ConfigMapApplyConfiguration:
		_, err = c.CoreV1().ConfigMaps(namespace).Apply(ctx, o, options)
	case *core.ServiceApplyConfiguration:
		_, err = c.CoreV1().Services(namespace).Apply(ctx, o, options)
	case *core.ServiceAccountApplyConfiguration:
		_, err = c.CoreV1().ServiceAccounts(namespace).Apply(ctx, o, options)
	case *rbac.RoleApplyConfiguration:
		_, err = c.RbacV1().Roles(namespace).Apply(ctx, o, options)
	case *rbac.RoleBindingApplyConfiguration:
		_, err = c.RbacV1().RoleBindings(namespace).Apply(ctx, o, options)
	case *network.NetworkPolicyApplyConfiguration:
		_, err = c.NetworkingV1().NetworkPolicies(namespace).Apply(ctx, o, options)
	case *policy.PodDisruptionBudgetApplyConfiguration:
		_, err = c.PolicyV1().PodDisruptionBudgets(namespace).Apply(ctx, o, options)
	default:
		return failure.New(failure.Internal, "no way to apply a %T", object)
	}
	return translateWrite(err, fmt.Sprintf("%s %s/%s", *object.GetKind(), namespace, *object.GetName()))
}

// CreateConfigMap makes object, or returns the one that is there already.
func (c *Cluster) CreateConfigMap(ctx context.Context, manager string, object *corev1.ConfigMap) (made *corev1.ConfigMap, existed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	api, what := c.CoreV1().ConfigMaps(object.Namespace), fmt.Sprintf("ConfigMap %s/%s", object.Namespace, object.Name)
	made, err = api.Create(ctx, object, meta.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		existed = true
		made, err = api.Get(ctx, object.Name, meta.GetOptions{})
	}
	return made, existed, translateWrite(err, what)
}

// CreateSecret makes object unless there is one of its name.
func (c *Cluster) CreateSecret(ctx context.Context, manager string, object *corev1.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := c.CoreV1().Secrets(object.Namespace).Create(ctx, object, meta.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return translateWrite(err, fmt.Sprintf("Secret %s/%s", object.Namespace, object.Name))
}

// SecretExists says whether there is a Secret of that name. It needs the right to
// make one and none to read one: nothing is made (dry run).
func (c *Cluster) SecretExists(ctx context.Context, manager, namespace, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := c.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: meta.ObjectMeta{Name: name}},
		meta.CreateOptions{FieldManager: manager, DryRun: []string{meta.DryRunAll}})
	if apierrors.IsAlreadyExists(err) {
		return true, nil
	}
	return false, Translate(err, fmt.Sprintf("Secret %s/%s", namespace, name))
}

// DeleteConfigMap deletes the one with that uid, and in the background all that
// it owns. One that is gone, or another one of the same name, is left alone:
// nil.
func (c *Cluster) DeleteConfigMap(ctx context.Context, namespace, name string, uid types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	background := meta.DeletePropagationBackground
	err := c.CoreV1().ConfigMaps(namespace).Delete(ctx, name, meta.DeleteOptions{
		Preconditions:     &meta.Preconditions{UID: &uid},
		PropagationPolicy: &background,
	})
	if answer.Absent(err) || apierrors.IsConflict(err) {
		return nil
	}
	return Translate(err, fmt.Sprintf("ConfigMap %s/%s", namespace, name))
}

// ScaleBack sets a Deployment's replicas to the number that its annotation keeps.
func (c *Cluster) ScaleBack(ctx context.Context, manager, namespace, name, annotation string) error {
	getting, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	what := fmt.Sprintf("Deployment %s/%s", namespace, name)
	found, err := c.AppsV1().Deployments(namespace).Get(getting, name, meta.GetOptions{})
	if err != nil {
		return Translate(err, what)
	}
	replicas, err := strconv.ParseInt(found.Annotations[annotation], 10, 32)
	if err != nil || replicas < 1 {
		return failure.New(failure.Refused, "%s doesn't say how many replicas it was made with (annotation %s: %q)", what, annotation, found.Annotations[annotation])
	}
	return c.Scale(ctx, manager, namespace, name, int32(replicas))
}

// Scale sets a Deployment's replicas as the owner of that field (extract,
// change, apply): a later Apply by the same manager meets no conflict, and the
// rest of the object stays as that manager left it. One that is gone is nil.
func (c *Cluster) Scale(ctx context.Context, manager, namespace, name string, replicas int32) error {
	return c.scale(ctx, manager, namespace, name, replicas, nil)
}

// Resize is Scale for good: the annotation, which ScaleBack reads, says so too.
func (c *Cluster) Resize(ctx context.Context, manager, namespace, name string, replicas int32, annotation string) error {
	return c.scale(ctx, manager, namespace, name, replicas, map[string]string{annotation: strconv.Itoa(int(replicas))})
}

// DeleteFirst marks a pod as the first to go when its ReplicaSet gets smaller. One
// that is gone is nil.
func (c *Cluster) DeleteFirst(ctx context.Context, manager, namespace, name string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	patch := []byte(`{"metadata":{"annotations":{"` + corev1.PodDeletionCost + `":"-100"}}}`)
	_, err := c.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, patch, meta.PatchOptions{FieldManager: manager})
	if answer.Absent(err) {
		return nil
	}
	return translateWrite(err, fmt.Sprintf("Pod %s/%s", namespace, name))
}

func (c *Cluster) scale(ctx context.Context, manager, namespace, name string, replicas int32, annotations map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	what := fmt.Sprintf("Deployment %s/%s", namespace, name)
	found, err := c.AppsV1().Deployments(namespace).Get(ctx, name, meta.GetOptions{})
	if answer.Absent(err) {
		return nil
	}
	if err != nil {
		return Translate(err, what)
	}
	same := found.Spec.Replicas != nil && *found.Spec.Replicas == replicas
	for key, value := range annotations {
		same = same && found.Annotations[key] == value
	}
	if found.DeletionTimestamp != nil || same {
		return nil
	}
	object, err := apps.ExtractDeployment(found, manager)
	if err != nil {
		return failure.Wrap(failure.Internal, err, "read what %s owns of %s", manager, what)
	}
	// The uid makes it this very object: an apply never makes a new one of it.
	object.WithUID(found.UID).WithAnnotations(annotations).Spec.WithReplicas(replicas)
	_, err = c.AppsV1().Deployments(namespace).Apply(ctx, object, meta.ApplyOptions{FieldManager: manager})
	return translateWrite(err, what)
}
