//go:build contract

package kube

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/kube/kubelet"
	"sluice/internal/kube/kubetest"
	"sluice/internal/lease"
	"sluice/internal/manifest"
	"sluice/internal/observer"
	"sluice/internal/pki/pkitest"
	"sluice/internal/store"
)

var flink = job.Engine{Name: "flink", Version: "1.20.5"}

type fixture struct {
	*kubetest.Site
	*Activities
	identity job.Identity
}

func given(t *testing.T) *fixture {
	t.Helper()
	site := kubetest.New(t)
	f := &fixture{Site: site, identity: job.Identity{
		Ref: job.Ref{Tenant: "shop", Name: "orders"}, UID: "01JD0000000000000000000ORD", Site: "dc1", Namespace: site.Namespace,
	}}
	f.Activities = New(Config{
		Site: "dc1", Engines: map[job.Engine]string{flink: kubetest.Image(t, "FLINK_1_20_5_IMAGE")},
		AgentImage: "sluice/agent:there-is-none", PullPolicy: "Never",
		Tenants: map[string]Tenant{"shop": {Namespace: site.Namespace}},
		HDFSURI: "hdfs://10.244.0.1:9000", HDFS: agentapi.HDFS{NameNodes: []string{"10.244.0.1:9000"}, User: "sluice"},
		Namespace: "sluice-system", Authority: pkitest.Authority(t),
	}, site.Worker)
	return f
}

func (f *fixture) lease(operation string) activities.LeaseIn {
	return activities.LeaseIn{Identity: f.identity, Operation: operation, MayCreate: true}
}

func (f *fixture) generation(workers bool) activities.GenerationIn {
	return activities.GenerationIn{
		Identity: f.identity, Operation: "op", Generation: 1, Workers: workers,
		Revision: job.Revision{Number: 1, Digest: "sha256:1", Spec: job.Spec{Engine: flink}},
		Profile: job.Profile{Name: "small", JobManager: job.Role{CPU: "100m", MemoryMiB: 640},
			TaskManager: job.TaskManager{Role: job.Role{CPU: "100m", MemoryMiB: 768}, Replicas: 1, Slots: 2}, Parallelism: 1},
	}
}

// race runs n calls at once and returns how many of them won; the others must
// have been refused for the reason given.
func race(t *testing.T, n int, code failure.Code, call func(i int) error) int {
	t.Helper()
	var won atomic.Int64
	var group sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			<-start
			if errs[i] = call(i); errs[i] == nil {
				won.Add(1)
			}
		})
	}
	close(start)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			require.Equal(t, code, failure.CodeOf(err), err)
		}
	}
	return int(won.Load())
}

func TestLeaseIsWonByOne(t *testing.T) {
	f, ctx := given(t), t.Context()

	none, err := f.ReadLease(ctx, f.lease(""))
	require.NoError(t, err)
	require.False(t, none.Exists)

	// The first start, made by fifty at once: one Lease, one generation.
	require.Equal(t, 50, race(t, 50, "", func(int) error {
		out, err := f.ReserveGeneration(ctx, f.lease("first"))
		if err == nil && out.Generation != 1 {
			err = fmt.Errorf("got generation %d", out.Generation)
		}
		return err
	}))
	// Fifty operations want to hold it: one does.
	require.Equal(t, 1, race(t, 50, failure.Refused, func(i int) error {
		_, err := f.PlaceHold(ctx, f.lease(fmt.Sprintf("operation-%d", i)))
		return err
	}))
	found, err := f.ReadLease(ctx, f.lease(""))
	require.NoError(t, err)
	holder := found.State.Hold.Operation
	// Its holder makes a generation active and fifty submissions want epoch 1: one gets it.
	moved := f.lease(holder)
	moved.Generation = 1
	_, err = f.MoveLease(ctx, moved)
	require.NoError(t, err)
	require.Equal(t, 1, race(t, 50, failure.Refused, func(i int) error {
		_, err := f.Activities.lease.Update(ctx, key(f.identity), func(s lease.State) (lease.State, error) {
			return s.Intend(lease.Intent{Epoch: 1, Generation: 1, Operation: holder, FlinkJobID: job.FlinkJobID(f.identity.UID, 1), RestorePath: fmt.Sprint(i)})
		})
		return err
	}))
	state, err := f.RecordOutcome(ctx, activities.RecordOutcomeIn{Identity: f.identity, Epoch: 1, Outcome: lease.Finished})
	require.NoError(t, err)
	require.Equal(t, lease.Finished, state.Intent.Outcome)
	release := f.lease(holder)
	release.Profile = "promotion"
	state, err = f.ReleaseHold(ctx, release)
	require.NoError(t, err)
	require.Nil(t, state.Hold)
	require.Equal(t, "promotion", state.Profile)
}

func TestReservationsAreDistinct(t *testing.T) {
	f, ctx := given(t), t.Context()
	var numbers sync.Map
	require.Equal(t, 10, race(t, 10, "", func(i int) error {
		out, err := f.ReserveGeneration(ctx, f.lease(fmt.Sprintf("operation-%d", i)))
		if _, twice := numbers.LoadOrStore(out.Generation, i); twice && err == nil {
			err = fmt.Errorf("generation %d was given twice", out.Generation)
		}
		return err
	}))
}

func TestLeaseOfAnotherJobIsRefused(t *testing.T) {
	f, ctx := given(t), t.Context()
	_, err := f.ReserveGeneration(ctx, f.lease("first"))
	require.NoError(t, err)
	f.identity.UID = "01JD0000000000000000ANOTHER"
	_, err = f.ReserveGeneration(ctx, f.lease("second"))
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
	_, err = f.ReadLease(ctx, f.lease(""))
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
}

func TestOtherNamespaceIsRefused(t *testing.T) {
	f := given(t)
	f.identity.Namespace = "kube-system"
	_, err := f.ReadLease(t.Context(), f.lease(""))
	require.Equal(t, failure.Refused, failure.CodeOf(err))
}

// The life of one generation, with real JobManager and TaskManager.
func TestGeneration(t *testing.T) {
	f, ctx := given(t), t.Context()
	record := f.observe(t)
	_, err := f.ReserveGeneration(ctx, f.lease("op"))
	require.NoError(t, err)

	// Cold: without TaskManagers first.
	f.Requests()
	out, err := f.ApplyGeneration(ctx, f.generation(false))
	require.NoError(t, err)
	require.EqualValues(t, 15, f.Requests(), "API requests of a generation without TaskManagers")
	require.Len(t, out.Objects, 14)
	first, err := f.Admin.CoreV1().Secrets(f.Namespace).Get(ctx, "orders-g1-keys", meta.GetOptions{})
	require.NoError(t, err)
	again, err := f.ApplyGeneration(ctx, f.generation(true))
	require.NoError(t, err)
	require.EqualValues(t, 17, f.Requests(), "of a repeat (it reads the root) with TaskManagers")
	require.Equal(t, out.RootUID, again.RootUID)
	require.Contains(t, again.Objects, "Deployment/orders-g1-taskmanager")

	second, err := f.Admin.CoreV1().Secrets(f.Namespace).Get(ctx, "orders-g1-keys", meta.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, first.Data, second.Data, "the keys are the first apply's")

	// They really come up, as an ordinary user, on a read-only file system.
	f.Requests()
	ready := f.await(t, 1, "jobmanager", "taskmanager")
	require.EqualValues(t, 3, f.Requests(), "one list, two watches")
	t.Logf("available after %v ms", ready.ReadyMS)
	require.Positive(t, ready.ReadyMS["jobmanager"])
	require.Positive(t, ready.ReadyMS["taskmanager"])

	// The agent's image isn't there: said at once, and why.
	_, err = f.awaitError(t, 1, "client")
	require.ErrorContains(t, err, "ErrImageNeverPull")
	require.ErrorContains(t, err, "sluice/agent:there-is-none")

	// Somebody's change of what is ours is shown, not overwritten.
	f.edit(t, "orders-g1-jobmanager", `,"spec":{"revisionHistoryLimit":3}`)
	_, err = f.ApplyGeneration(ctx, f.generation(true))
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
	require.ErrorContains(t, err, "somebodys-editor")
	require.ErrorContains(t, err, ".spec.revisionHistoryLimit")
	f.edit(t, "orders-g1-jobmanager", "") // given up
	_, err = f.ApplyGeneration(ctx, f.generation(true))
	require.NoError(t, err)

	// Workers away, twice, and back.
	ref := activities.GenerationRef{Identity: f.identity, Generation: 1}
	for range 2 {
		_, err = f.ScaleDownWorkers(ctx, ref)
		require.NoError(t, err)
	}
	f.gone(t, manifest.Selector(manifest.Of(f.identity, 1), manifest.TaskManager))
	require.NotEmpty(t, record.of("taskmanager"))
	_, err = f.ApplyGeneration(ctx, f.generation(true))
	require.NoError(t, err, "the platform owns replicas before and after scaling")
	f.await(t, 1, "taskmanager")

	// All away, twice, and back.
	for range 2 {
		_, err = f.ScaleDownGeneration(ctx, ref)
		require.NoError(t, err)
	}
	f.gone(t, manifest.GenerationSelector(manifest.Of(f.identity, 1)))
	for range 2 {
		_, err = f.RestoreGeneration(ctx, ref)
		require.NoError(t, err)
	}
	f.await(t, 1, "jobmanager", "taskmanager")
	_, err = f.ApplyGeneration(ctx, f.generation(true))
	require.NoError(t, err, "the platform owns replicas before and after that")

	// Removed, twice, with everything; and a late apply doesn't bring it back.
	f.Requests()
	_, err = f.RemoveGeneration(ctx, ref)
	require.NoError(t, err)
	require.EqualValues(t, 4, f.Requests(), "requests of a removal")
	_, err = f.RemoveGeneration(ctx, ref)
	require.NoError(t, err)
	f.gone(t, manifest.GenerationSelector(manifest.Of(f.identity, 1)))
	require.NotEmpty(t, record.of("jobmanager"))
	f.collected(t)
	_, err = f.ApplyGeneration(ctx, f.generation(true))
	require.Equal(t, failure.Refused, failure.CodeOf(err))
	_, err = f.Admin.CoreV1().ConfigMaps(f.Namespace).Get(ctx, "orders-g1", meta.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "the late apply's root is taken back")
}

// A call that was on its way while the generation was removed leaves objects
// whose owner is gone: Kubernetes collects them.
func TestLateApplyIsCollected(t *testing.T) {
	f, ctx := given(t), t.Context()
	_, err := f.ReserveGeneration(ctx, f.lease("op"))
	require.NoError(t, err)
	in := f.generation(false)
	out, err := f.ApplyGeneration(ctx, in)
	require.NoError(t, err)
	_, err = f.RemoveGeneration(ctx, activities.GenerationRef{Identity: f.identity, Generation: 1})
	require.NoError(t, err)
	input, err := f.input(in)
	require.NoError(t, err)
	require.NoError(t, f.cluster.Apply(ctx, manifest.ManagerGeneration, input.ClientService(out.RootUID)))
	f.collected(t)
}

func TestGenerationMadeForAnotherRevision(t *testing.T) {
	f, ctx := given(t), t.Context()
	_, err := f.ReserveGeneration(ctx, f.lease("op"))
	require.NoError(t, err)
	in := f.generation(false)
	_, err = f.ApplyGeneration(ctx, in)
	require.NoError(t, err)
	in.Revision.Digest = "sha256:2"
	_, err = f.ApplyGeneration(ctx, in)
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
	require.ErrorContains(t, err, "was made for revision sha256:1, not sha256:2")
}

func TestAwaitOfNothing(t *testing.T) {
	f := given(t)
	_, err := f.awaitError(t, 1, "jobmanager")
	require.ErrorContains(t, err, "does not exist")
}

func (f *fixture) await(t *testing.T, generation int, roles ...string) activities.AwaitGenerationOut {
	t.Helper()
	out, err := f.awaitError(t, generation, roles...)
	require.NoError(t, err)
	return out
}

func (f *fixture) awaitError(t *testing.T, generation int, roles ...string) (activities.AwaitGenerationOut, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(3 * time.Minute)
	f.Register(env)
	value, err := env.ExecuteActivity(activities.AwaitGeneration.Name, activities.AwaitGenerationIn{Identity: f.identity, Generation: generation, Roles: roles})
	var out activities.AwaitGenerationOut
	if err == nil {
		require.NoError(t, value.Get(&out))
	}
	return out, err
}

// edit is kubectl apply --server-side --force-conflicts by somebody else.
func (f *fixture) edit(t *testing.T, deployment, fields string) {
	t.Helper()
	force := true
	patch := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q}%s}`, deployment, fields)
	_, err := f.Admin.AppsV1().Deployments(f.Namespace).Patch(t.Context(), deployment, types.ApplyPatchType, []byte(patch),
		meta.PatchOptions{FieldManager: "somebodys-editor", Force: &force})
	require.NoError(t, err)
}

func (f *fixture) gone(t *testing.T, selector map[string]string) {
	t.Helper()
	kubetest.Eventually(t, time.Minute, func() bool {
		pods, err := f.Admin.CoreV1().Pods(f.Namespace).List(t.Context(), meta.ListOptions{LabelSelector: labels.SelectorFromSet(selector).String()})
		return err == nil && len(pods.Items) == 0
	}, "pods are gone, their finalizers taken")
}

// collected waits until nothing of a generation is left: what belongs to the job stays.
func (f *fixture) collected(t *testing.T) {
	t.Helper()
	ctx, options := t.Context(), meta.ListOptions{LabelSelector: manifest.LabelGeneration}
	kubetest.Eventually(t, time.Minute, func() bool {
		deployments, err1 := f.Admin.AppsV1().Deployments(f.Namespace).List(ctx, options)
		services, err2 := f.Admin.CoreV1().Services(f.Namespace).List(ctx, options)
		secrets, err3 := f.Admin.CoreV1().Secrets(f.Namespace).List(ctx, options)
		maps, err4 := f.Admin.CoreV1().ConfigMaps(f.Namespace).List(ctx, options)
		budgets, err5 := f.Admin.PolicyV1().PodDisruptionBudgets(f.Namespace).List(ctx, options)
		return err1 == nil && err2 == nil && err3 == nil && err4 == nil && err5 == nil &&
			len(deployments.Items)+len(services.Items)+len(secrets.Items)+len(maps.Items)+len(budgets.Items) == 0
	}, "everything that the root owned is collected")
	_, err := f.Admin.CoreV1().ServiceAccounts(f.Namespace).Get(ctx, "orders", meta.GetOptions{})
	require.NoError(t, err, "the job's own account stays")
}

// memory is a record of containers' ends.
type memory struct {
	mutex sync.Mutex
	ends  []store.ContainerEnd
}

func (m *memory) RecordContainerEnd(_ context.Context, end store.ContainerEnd) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.ends = append(m.ends, end)
	return nil
}

func (m *memory) of(role string) []store.ContainerEnd {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var found []store.ContainerEnd
	for _, end := range m.ends {
		if end.Role == role {
			found = append(found, end)
		}
	}
	return found
}

func (f *fixture) observe(t *testing.T) *memory {
	t.Helper()
	record := &memory{}
	// Not Worker: its requests are counted.
	o := observer.New(observer.Config{Cluster: f.Admin, Record: record, Site: "dc1", Namespaces: []string{f.Namespace}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Observe(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return record
}

// A Lease that is missing for a job that ran is never made anew.
func TestAMissingLeaseIsNotMadeAnew(t *testing.T) {
	f := given(t)
	in := f.lease("never")
	in.MayCreate = false
	_, err := f.ReserveGeneration(t.Context(), in)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
}

// A person's word: offered for what no kubelet speaks of, noted on the very pod.
func TestDeclareEnded(t *testing.T) {
	f := given(t)
	node := f.LostNode(t)
	no, yes, user := false, true, int64(9999)
	pod := f.Bound(t, node, &core.Pod{
		ObjectMeta: meta.ObjectMeta{
			Name: "orders-g3-taskmanager-x", Annotations: map[string]string{manifest.AnnotationJobUID: f.identity.UID},
			Labels: map[string]string{
				manifest.LabelManagedBy: manifest.ManagedBy, manifest.LabelJob: "orders", manifest.LabelGeneration: "3", manifest.LabelComponent: "taskmanager",
			},
		},
		Spec: core.PodSpec{
			SecurityContext: &core.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault}},
			Containers: []core.Container{{
				Name: "taskmanager", Image: "sluice/there-is:none", ImagePullPolicy: core.PullNever,
				SecurityContext: &core.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}},
			}},
		},
	}, "containerd://tm")
	ref := activities.GenerationRef{Identity: f.identity, Generation: 3}
	gone := &activities.Unheard{ContainerID: "containerd://jm", PodUID: "never-was", Role: "jobmanager", Why: "its pod is gone"}
	out, err := f.UnheardContainers(t.Context(), activities.UnheardIn{GenerationRef: ref, JobManager: gone})
	require.NoError(t, err)
	require.Len(t, out.Containers, 2)
	require.Equal(t, activities.Unheard{
		ContainerID: "containerd://tm", Container: "taskmanager", Attempt: 1, PodUID: string(pod.UID), Pod: pod.Name, Role: "taskmanager",
		Why: "node " + node.Name + " doesn't answer",
	}, out.Containers[0])
	require.Equal(t, *gone, out.Containers[1])

	declare := activities.DeclareIn{GenerationRef: ref, Containers: out.Containers}
	for range 2 { // a repeat is harmless
		_, err = f.DeclareEnded(t.Context(), declare)
		require.NoError(t, err)
	}
	now, err := f.Admin.CoreV1().Pods(f.Namespace).Get(t.Context(), pod.Name, meta.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "containerd://tm", now.Annotations[kubelet.AnnotationDeclared])
	out, err = f.UnheardContainers(t.Context(), activities.UnheardIn{GenerationRef: ref})
	require.NoError(t, err)
	require.Empty(t, out.Containers, "it has been declared")
	other := activities.GenerationRef{Identity: f.identity, Generation: 4}
	out, err = f.UnheardContainers(t.Context(), activities.UnheardIn{GenerationRef: other})
	require.NoError(t, err)
	require.Empty(t, out.Containers)
}

// What a quota leaves is said as the API server counts it.
func TestLookAtQuota(t *testing.T) {
	f := given(t)
	in := activities.QuotaIn{GenerationIn: f.generation(true)}
	out, err := f.LookAtQuota(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, out.Rooms, "there is none")
	hard := core.ResourceList{core.ResourcePods: resource.MustParse("2"), core.ResourceRequestsCPU: resource.MustParse("64")}
	_, err = f.Admin.CoreV1().ResourceQuotas(f.Namespace).Create(t.Context(), &core.ResourceQuota{
		ObjectMeta: meta.ObjectMeta{Name: "tenant"}, Spec: core.ResourceQuotaSpec{Hard: hard},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	kubetest.Eventually(t, 30*time.Second, func() bool {
		out, err = f.LookAtQuota(t.Context(), in)
		return err == nil && len(out.Rooms) == 2
	}, "the quota is counted")
	require.Equal(t, "tenant", out.Rooms[0].Quota)
	require.Equal(t, "pods", out.Rooms[0].Resource)
	require.Equal(t, "2", out.Rooms[0].Left)
	require.False(t, out.Rooms[0].Fits, "agent, JobManager and TaskManager are three pods")
	require.True(t, out.Rooms[0].FitsCold)
	require.Equal(t, "requests.cpu", out.Rooms[1].Resource)
	require.True(t, out.Rooms[1].Fits)
}
