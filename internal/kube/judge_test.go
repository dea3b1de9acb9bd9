package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/failure"
)

func deployment(change func(*apps.Deployment)) *apps.Deployment {
	two := int32(2)
	d := &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: "orders-g1-taskmanager", Generation: 3},
		Spec:       apps.DeploymentSpec{Replicas: &two},
		Status:     apps.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
	}
	change(d)
	return d
}

func TestAvailable(t *testing.T) {
	now := meta.Now()
	for name, c := range map[string]struct {
		change func(*apps.Deployment)
		want   bool
	}{
		"all": {func(*apps.Deployment) {}, true},
		"scaled to nothing": {func(d *apps.Deployment) {
			*d.Spec.Replicas = 0
			d.Status = apps.DeploymentStatus{ObservedGeneration: 3}
		}, true},
		// What the Flink operator's FLINK-40119 took for ready.
		"status of an older specification": {func(d *apps.Deployment) { d.Status.ObservedGeneration = 2 }, false},
		"one of two":                       {func(d *apps.Deployment) { d.Status.AvailableReplicas = 1 }, false},
		"an old pod is still there":        {func(d *apps.Deployment) { d.Status.Replicas = 3 }, false},
		"not all of the newest template":   {func(d *apps.Deployment) { d.Status.UpdatedReplicas = 1 }, false},
		"being deleted":                    {func(d *apps.Deployment) { d.DeletionTimestamp = &now }, false},
		"over its deadline": {func(d *apps.Deployment) {
			d.Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentProgressing, Status: core.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, Available(deployment(c.change))) })
	}
}

var madeAt = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func pod(change func(*core.Pod)) *core.Pod {
	p := &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: "p1", Namespace: "shop", CreationTimestamp: meta.NewTime(madeAt)},
		Spec:       core.PodSpec{NodeName: "node1"},
	}
	change(p)
	return p
}

func waitingFor(reason, message string) func(*core.Pod) {
	return func(p *core.Pod) {
		p.Status.ContainerStatuses = []core.ContainerStatus{{
			Name: "jobmanager", Image: "sluice/flink:1", State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
}

// initContainer is a pod whose engine waits behind it, as a kubelet shows it.
func initContainer(state core.ContainerState) func(*core.Pod) {
	return func(p *core.Pod) {
		waitingFor("PodInitializing", "")(p)
		p.Status.InitContainerStatuses = []core.ContainerStatus{{Name: "fetch", State: state}}
	}
}

func ended(code int32, message string) core.ContainerState {
	return core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: code, Message: message}}
}

func crashed(restarts int32) func(*core.Pod) {
	return func(p *core.Pod) {
		waitingFor("CrashLoopBackOff", "back-off 10s")(p)
		p.Status.ContainerStatuses[0].RestartCount = restarts
		p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &core.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", Message: "Exception in thread main: no such option\n",
		}
	}
}

func TestExplain(t *testing.T) {
	soon, late := madeAt.Add(time.Second), madeAt.Add(time.Minute)
	for name, c := range map[string]struct {
		change func(*core.Pod)
		now    time.Time
		line   string
		code   failure.Code
		next   string
	}{
		"waits for a node":    {func(p *core.Pod) { p.Spec.NodeName = "" }, soon, "p1 waits for a node", "", ""},
		"can't be placed":     {justUnschedulable(madeAt.Add(time.Minute)), late, "p1 can't be placed: 0/1 nodes are available: 1 Insufficient memory.", "", ""},
		"starts":              {func(*core.Pod) {}, soon, "p1 starts", "", ""},
		"being made":          {waitingFor("ContainerCreating", ""), late, "p1: jobmanager waits: ContainerCreating", "", ""},
		"never pulled":        {waitingFor("ErrImageNeverPull", "not present"), soon, "p1: jobmanager waits: ErrImageNeverPull not present", failure.Invalid, "engines[].image"},
		"no image's name":     {waitingFor("InvalidImageName", "bad"), soon, "p1: jobmanager waits: InvalidImageName bad", failure.Invalid, "agentImage"},
		"pull fails at once":  {waitingFor("ErrImagePull", "registry away"), soon, "p1: jobmanager waits: ErrImagePull registry away", "", ""},
		"no such image":       {waitingFor("ErrImagePull", "docker.io/x/flink:1: not found"), soon, "p1: jobmanager waits: ErrImagePull docker.io/x/flink:1: not found", failure.Invalid, "engines[].image"},
		"pull fails for long": {waitingFor("ImagePullBackOff", "not found"), late, "p1: jobmanager waits: ImagePullBackOff not found", failure.Invalid, "bring the image"},
		"crashed twice":       {crashed(1), soon, "p1: jobmanager ended 2 times, the last time with exit code 1 (Error): Exception in thread main: no such option", "", ""},
		"crashes for ever":    {crashed(3), soon, "p1: jobmanager ended 4 times, the last time with exit code 1 (Error): Exception in thread main: no such option", failure.Incompatible, "kubectl -n shop logs p1 --previous"},
		"fetches":             {initContainer(core.ContainerState{Running: &core.ContainerStateRunning{}}), soon, "p1: fetch is at work", "", ""},
		"fetch failed once":   {initContainer(ended(1, "no disk")), soon, "p1: fetch ended with exit code 1: no disk", "", ""},
		"fetch gave up":       {initContainer(ended(65, "{\"msg\":\"fetched\"}\ndigest: sha256:1 is damaged\n")), soon, "p1: fetch gave up: digest: sha256:1 is damaged", failure.Incompatible, "sluice artifact push"},
		"runs":                {runs, soon, "p1: jobmanager runs, its port isn't open yet", "", ""},
		"bad configuration":   {waitingFor("CreateContainerConfigError", "configmap not found"), late, "p1: jobmanager waits: CreateContainerConfigError configmap not found", failure.Incompatible, "describe pod p1"},
		"rejected":            {func(p *core.Pod) { p.Status.Reason, p.Status.Message = "OutOfcpu", "no room" }, soon, "p1: OutOfcpu no room", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			line, fatal := Explain(deployment(func(*apps.Deployment) {}), []*core.Pod{pod(c.change)}, c.now, 2*time.Minute)
			require.Equal(t, c.line, line)
			if c.code == "" {
				require.Nil(t, fatal)
				return
			}
			require.NotNil(t, fatal)
			require.Equal(t, c.code, fatal.Code)
			require.Contains(t, fatal.Next, c.next)
			require.False(t, fatal.Retryable())
		})
	}
}

func unschedulable(p *core.Pod) {
	p.Spec.NodeName = ""
	p.Status.Conditions = []core.PodCondition{{Type: core.PodScheduled, Status: core.ConditionFalse, Reason: "Unschedulable",
		Message: "0/1 nodes are available: 1 Insufficient memory."}}
}

func justUnschedulable(since time.Time) func(*core.Pod) {
	return func(p *core.Pod) {
		unschedulable(p)
		p.Status.Conditions[0].LastTransitionTime = meta.NewTime(since)
	}
}

func runs(p *core.Pod) {
	p.Status.ContainerStatuses = []core.ContainerStatus{{Name: "jobmanager", State: core.ContainerState{Running: &core.ContainerStateRunning{}}}}
}

func TestExplainWithoutPods(t *testing.T) {
	line, fatal := Explain(deployment(func(d *apps.Deployment) {
		d.Status.AvailableReplicas = 0
		d.Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentReplicaFailure, Status: core.ConditionTrue, Message: "exceeded quota: tenant"}}
	}), nil, madeAt, 0)
	require.Nil(t, fatal)
	require.Equal(t, "no pod can be made: exceeded quota: tenant", line)
}

// What doesn't fit may fit soon: another job ends, a node is added. Behind the
// grace it is said, as something that a flow can tell from other refusals.
func TestNoRoomBehindTheGrace(t *testing.T) {
	quota := func(d *apps.Deployment) {
		d.Status.Conditions = []apps.DeploymentCondition{{Type: apps.DeploymentReplicaFailure, Status: core.ConditionTrue,
			Message: "exceeded quota: tenant", LastTransitionTime: meta.NewTime(madeAt)}}
	}
	for name, look := range map[string]func(time.Time, time.Duration) *failure.Error{
		"a pod that no node takes": func(now time.Time, grace time.Duration) *failure.Error {
			_, fatal := Explain(deployment(func(*apps.Deployment) {}), []*core.Pod{pod(justUnschedulable(madeAt))}, now, grace)
			return fatal
		},
		"a pod that the quota forbids": func(now time.Time, grace time.Duration) *failure.Error {
			_, fatal := Explain(deployment(quota), nil, now, grace)
			return fatal
		},
	} {
		require.Nil(t, look(madeAt.Add(time.Minute), time.Minute), name)
		require.Nil(t, look(madeAt.Add(time.Hour), 0), "for ever")
		fatal := look(madeAt.Add(61*time.Second), time.Minute)
		require.NotNil(t, fatal, name)
		require.Equal(t, failure.Refused, fatal.Code)
		require.NotEmpty(t, fatal.Details[failure.NoRoom])
		require.NotEmpty(t, fatal.Next)
	}
}

func TestExplainIsShort(t *testing.T) {
	var pods []*core.Pod
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		pods = append(pods, pod(func(p *core.Pod) { p.Name = name }))
	}
	line, _ := Explain(deployment(func(*apps.Deployment) {}), pods, madeAt, 0)
	require.Equal(t, "a starts; b starts; c starts; and 2 more", line)
}

func TestLastLines(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	require.Less(t, len(lastLines(string(long)+" the reason")), 420)
	require.Contains(t, lastLines(string(long)+" the reason"), "the reason")
}
