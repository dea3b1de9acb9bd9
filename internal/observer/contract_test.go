//go:build contract

package observer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/kube"
	"sluice/internal/kube/kubetest"
	"sluice/internal/manifest"
	"sluice/internal/store"
)

// record is the record store, which may be away.
type record struct {
	mutex sync.Mutex
	away  bool
	tried int
	ends  map[string]store.ContainerEnd
}

func (r *record) RecordContainerEnd(_ context.Context, end store.ContainerEnd) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.away {
		r.tried++
		return errors.New("the record store is away")
	}
	r.ends[end.ContainerID] = end
	return nil
}

func (r *record) set(away bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.away = away
}

func (r *record) attempts() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.tried
}

func (r *record) of(pod string) []store.ContainerEnd {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []store.ContainerEnd
	for _, end := range r.ends {
		if end.Pod == pod {
			found = append(found, end)
		}
	}
	return found
}

type fixture struct {
	*kubetest.Site
	record *record
}

func given(t *testing.T) *fixture {
	t.Helper()
	return &fixture{Site: kubetest.New(t), record: &record{ends: map[string]store.ContainerEnd{}}}
}

// observe starts an observer with the worker's rights, elected in the same namespace.
func (f *fixture) observe(t *testing.T, identity string) (stop func()) {
	t.Helper()
	o := New(Config{Cluster: f.Worker, Record: f.record, Incidents: &flows{}, Runs: &openRuns{}, Site: "dc1", Namespaces: []string{f.Namespace}, LeaseNamespace: f.Namespace, Identity: identity})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = o.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// pod makes a pod with the finalizer that runs a shell's script.
func (f *fixture) pod(t *testing.T, name, script string, change func(*core.Pod)) {
	t.Helper()
	p := f.podOf(t, name, script)
	if change != nil {
		change(p)
	}
	_, err := f.Admin.CoreV1().Pods(f.Namespace).Create(t.Context(), p, meta.CreateOptions{})
	require.NoError(t, err)
}

func (f *fixture) podOf(t *testing.T, name, script string) *core.Pod {
	t.Helper()
	no, yes, user, grace := false, true, int64(9999), int64(1)
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{
			Name: name, Finalizers: []string{manifest.ProofFinalizer},
			Labels:      map[string]string{manifest.LabelManagedBy: manifest.ManagedBy, manifest.LabelGeneration: "4", manifest.LabelComponent: "taskmanager"},
			Annotations: map[string]string{manifest.AnnotationJobUID: "uid"},
		},
		Spec: core.PodSpec{
			AutomountServiceAccountToken: &no, TerminationGracePeriodSeconds: &grace, RestartPolicy: core.RestartPolicyAlways,
			SecurityContext: &core.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault}},
			Containers: []core.Container{{
				Name: "taskmanager", Image: kubetest.Image(t, "FLINK_1_20_5_IMAGE"), Command: []string{"bash", "-c", script}, ImagePullPolicy: core.PullNever,
				SecurityContext: &core.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}},
			}},
		},
	}
}

func (f *fixture) until(t *testing.T, name, what string, condition func(*core.Pod) bool) {
	t.Helper()
	kubetest.Eventually(t, time.Minute, func() bool {
		p, err := f.Admin.CoreV1().Pods(f.Namespace).Get(t.Context(), name, meta.GetOptions{})
		return err == nil && condition(p)
	}, name+": "+what)
}

func (f *fixture) gone(t *testing.T, name string) {
	t.Helper()
	kubetest.Eventually(t, time.Minute, func() bool {
		list, err := f.Admin.CoreV1().Pods(f.Namespace).List(t.Context(), meta.ListOptions{FieldSelector: "metadata.name=" + name})
		return err == nil && len(list.Items) == 0
	}, name+" is gone")
}

// delete deletes pod p.
func (f *fixture) delete(t *testing.T, grace *int64) {
	t.Helper()
	require.NoError(t, f.Admin.CoreV1().Pods(f.Namespace).Delete(t.Context(), "p", meta.DeleteOptions{GracePeriodSeconds: grace}))
}

const runs = "trap 'exit 7' TERM; while :; do sleep 0.1; done"

func running(p *core.Pod) bool {
	return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Running != nil
}

func failed(p *core.Pod) bool { return p.Status.Phase == core.PodFailed }

func TestEndIsRecordedBeforeThePodGoes(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.pod(t, "p", runs, nil)
	f.until(t, "p", "runs", running)
	f.record.set(true) // the record store is away
	f.delete(t, nil)
	f.until(t, "p", "the kubelet ended it", failed)
	kubetest.Eventually(t, time.Minute, func() bool { return f.record.attempts() >= 3 }, "the observer keeps trying")
	f.until(t, "p", "its finalizer stays while nothing is recorded", func(p *core.Pod) bool { return len(p.Finalizers) == 1 })
	f.record.set(false)
	f.gone(t, "p")
	ends := f.record.of("p")
	require.Len(t, ends, 1)
	require.EqualValues(t, 7, ends[0].ExitCode)
	require.Equal(t, "taskmanager", ends[0].Role)
	require.Equal(t, 4, ends[0].Generation)
	require.Equal(t, "uid", ends[0].JobUID)
	require.Contains(t, ends[0].ContainerID, "containerd://")
	require.NotEmpty(t, ends[0].FinishedAt)
}

// A force-deletion removes no pod of ours before its kubelet has spoken.
func TestForcedDeletion(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.pod(t, "p", runs, nil)
	f.until(t, "p", "runs", running)
	none := int64(0)
	f.delete(t, &none)
	f.gone(t, "p")
	require.Len(t, f.record.of("p"), 1)
}

// A container that ended and was started again within its pod is recorded too,
// and the pod keeps its finalizer.
func TestRestartWithinThePod(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.pod(t, "p", "[ -e /data/second ] || { touch /data/second; exit 3; }; "+runs, func(p *core.Pod) {
		p.Spec.Volumes = []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "data", MountPath: "/data"}}
	})
	f.until(t, "p", "runs again", func(p *core.Pod) bool { return running(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
	kubetest.Eventually(t, time.Minute, func() bool { return len(f.record.of("p")) == 1 }, "the first end is recorded")
	require.EqualValues(t, 3, f.record.of("p")[0].ExitCode)
	f.until(t, "p", "keeps its finalizer", func(p *core.Pod) bool { return len(p.Finalizers) == 1 })
	f.delete(t, nil)
	f.gone(t, "p")
	require.Len(t, f.record.of("p"), 2)
}

// Two containers end within their pod while nobody observes. The kubelet shows
// only the second end then; it proves the first, being of a later attempt.
func TestTwoEndsWhileNobodyWatched(t *testing.T) {
	f := given(t)
	f.pod(t, "p", `n=$(cat /data/n || echo 0); echo $((n+1)) >/data/n; [ "$n" -ge 2 ] || exit "$((n+3))"; `+runs, func(p *core.Pod) {
		p.Spec.Volumes = []core.Volume{{Name: "data", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "data", MountPath: "/data"}}
	})
	f.until(t, "p", "runs for the third time", func(p *core.Pod) bool { return running(p) && p.Status.ContainerStatuses[0].RestartCount == 2 })
	f.observe(t, "a")
	kubetest.Eventually(t, time.Minute, func() bool { return len(f.record.of("p")) == 1 }, "the second end is recorded")
	end := f.record.of("p")[0]
	require.EqualValues(t, 4, end.ExitCode)
	require.Equal(t, 2, end.Attempt)
	require.Equal(t, "taskmanager", end.Container)
	f.delete(t, nil)
	f.gone(t, "p")
	require.Len(t, f.record.of("p"), 2)
}

// Deleted before a node was found: no kubelet ever gets it.
func TestNeverPlaced(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.pod(t, "p", runs, func(p *core.Pod) { p.Spec.NodeSelector = map[string]string{"no": "such-node"} })
	f.until(t, "p", "is pending", func(p *core.Pod) bool { return p.Status.Phase == core.PodPending })
	f.delete(t, nil)
	f.gone(t, "p")
	require.Empty(t, f.record.of("p"))
}

// Placed, but its container was never made.
func TestNeverStarted(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.pod(t, "p", runs, func(p *core.Pod) { p.Spec.Containers[0].Image = "sluice/there-is:none" })
	f.until(t, "p", "its image is missing", func(p *core.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == "ErrImageNeverPull"
	})
	f.delete(t, nil)
	f.gone(t, "p")
	require.Empty(t, f.record.of("p"))
}

// Nobody observes while the pod ends; the next observer finds it.
func TestEndWhileNobodyWatched(t *testing.T) {
	f := given(t)
	stop := f.observe(t, "a")
	f.pod(t, "p", runs, nil)
	f.until(t, "p", "runs", running)
	stop() // gives the election back
	f.delete(t, nil)
	f.until(t, "p", "the kubelet ended it", failed)
	f.until(t, "p", "waits for an observer", func(p *core.Pod) bool { return len(p.Finalizers) == 1 })
	f.observe(t, "b")
	f.gone(t, "p")
	require.Len(t, f.record.of("p"), 1)
}

// Many at once, two that want to observe.
func TestManyPods(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	f.observe(t, "b")
	const n = 8
	for i := range n {
		f.pod(t, fmt.Sprintf("p%d", i), runs, nil)
	}
	for i := range n {
		f.until(t, fmt.Sprintf("p%d", i), "runs", running)
	}
	require.NoError(t, f.Admin.CoreV1().Pods(f.Namespace).DeleteCollection(t.Context(), meta.DeleteOptions{}, meta.ListOptions{}))
	for i := range n {
		name := fmt.Sprintf("p%d", i)
		f.gone(t, name)
		require.Len(t, f.record.of(name), 1)
	}
}

// No kubelet will ever speak of a pod on a machine that is off. Its node is silent,
// which proves nothing; tainted out of service it proves the end.
func TestNodeOutOfService(t *testing.T) {
	f := given(t)
	f.observe(t, "a")
	node := f.LostNode(t)
	f.Bound(t, node, f.podOf(t, "p", runs), "containerd://lost")
	grace := int64(1)
	f.delete(t, &grace)
	f.until(t, "p", "should be gone, and isn't", func(p *core.Pod) bool {
		return p.DeletionTimestamp != nil && time.Since(p.DeletionTimestamp.Time) > 3*time.Second
	})
	require.Empty(t, f.record.of("p"), "silence is no end")
	f.OutOfService(t, node.Name)
	// Nothing but its finalizer keeps it from now on; the API server deletes what no
	// kubelet confirms only by force, which the pod collector does on that taint.
	none := int64(0)
	kubetest.Eventually(t, time.Minute, func() bool { return len(f.record.of("p")) == 1 }, "the end is recorded")
	_ = f.Admin.CoreV1().Pods(f.Namespace).Delete(t.Context(), "p", meta.DeleteOptions{GracePeriodSeconds: &none})
	f.gone(t, "p")
	end := f.record.of("p")[0]
	require.Equal(t, "containerd://lost", end.ContainerID)
	require.Equal(t, "node "+node.Name+" (uid "+string(node.UID)+") is out of service", end.Source)
	require.EqualValues(t, store.UnknownExit, end.ExitCode)
}

// The node's object is deleted and made anew under its name: what it says is of
// another machine.
func TestNodeMadeAnewProvesNothing(t *testing.T) {
	f := given(t)
	node := f.LostNode(t)
	bound := f.Bound(t, node, f.podOf(t, "p", runs), "containerd://lost")
	anew := node.DeepCopy()
	anew.CreationTimestamp = meta.NewTime(bound.CreationTimestamp.Add(time.Hour))
	anew.Spec.Taints = []core.Taint{{Key: core.TaintNodeOutOfService, Effect: core.TaintEffectNoExecute}}
	by, why := kube.Off(bound, anew)
	require.Empty(t, by)
	require.Contains(t, why, "made anew")
	node.Spec.Taints = anew.Spec.Taints
	by, why = kube.Off(bound, node)
	require.NotEmpty(t, by, "the API server's binding says since when it is bound: "+why)
}
