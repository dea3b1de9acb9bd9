package upgrade_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

// stopLost is an upgrade whose stop's answer is lost with the JobManager: its node
// is away, and so is that of a TaskManager. Nobody will ever speak of them.
func stopLost(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.state.Intent.JobManagerContainerID, w.state.Intent.JobManagerPodUID = "containerd://jm", "p"
	w.stops = []answer[agentapi.StopOut]{{err: errUnknownTrigger}, {err: errUnknownTrigger}, {err: errUnknownTrigger}}
	w.newest = map[string]activities.FindSnapshotOut{"/savepoints/": {Path: savepoint, CheckpointID: 7}}
	w.onCall = func(name string) {
		if name == activities.StopJob.Name {
			w.facts.Agent.JobState = ""
		}
	}
	w.unheard = []activities.Unheard{
		{ContainerID: "containerd://jm", Container: "jobmanager", Attempt: 1, PodUID: "p", Pod: "orders-g3-jobmanager-x", Role: "jobmanager", Why: "node n doesn't answer"},
		{ContainerID: "containerd://tm", Container: "taskmanager", Attempt: 1, PodUID: "q", Pod: "orders-g3-taskmanager-y", Role: "taskmanager", Why: "node n doesn't answer"},
	}
	return w
}

var errUnknownTrigger = failure.New(failure.Unknown, "the JobManager doesn't know the trigger any more")

func names(options []upgrade.Option) []string {
	var all []string
	for _, o := range options {
		all = append(all, o.Name)
	}
	return all
}

// A person's word takes the place of the proof that can't come: for what was named,
// on record with who said it and why.
func TestAPersonDeclaresDeadWhatNoKubeletSpeaksOf(t *testing.T) {
	w := stopLost(t)
	var accepted bool
	w.env.RegisterDelayedCallback(func() {
		p := w.progress(t)
		require.Equal(t, job.Waiting, p.Phase)
		require.Contains(t, names(p.Options), upgrade.OptionDeclareDead)
		what := p.Options[len(p.Options)-1].What
		require.Contains(t, what, "jobmanager orders-g3-jobmanager-x (node n doesn't answer)")
		require.Contains(t, what, "taskmanager orders-g3-taskmanager-y")
		require.Empty(t, w.submits)
		w.facts.Agent.Idle = true // as its agent will find, once the word is noted
		w.send(upgrade.UpdateDecide, &accepted, upgrade.Decision{Option: upgrade.OptionDeclareDead, Reason: "rack 4 burnt (by anna)"})
	}, time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.True(t, accepted)
	require.Len(t, w.declared, 1)
	require.Equal(t, w.unheard, w.declared[0].Containers)
	require.Equal(t, 3, w.declared[0].Generation)
	require.Contains(t, w.declared[0].Source, "rack 4 burnt (by anna)")
	require.Equal(t, 2, w.noted)
	require.Len(t, w.submits, 1)
	require.Equal(t, savepoint, w.submit(0).RestorePath)
	require.Contains(t, w.progress(t).Evidence, "container containerd://jm of the JobManager ended by "+w.declared[0].At+" ("+w.declared[0].Source+"); no TaskManager runs a task")
}

// What has been heard of meanwhile isn't declared: somebody switched the node on.
func TestWhatIsHeardOfAgainIsNotDeclared(t *testing.T) {
	w := stopLost(t)
	var accepted, again bool
	w.env.RegisterDelayedCallback(func() {
		w.unheard = w.unheard[1:]
		w.decideDead(&accepted)
	}, time.Hour)
	w.env.RegisterDelayedCallback(func() {
		require.Len(t, w.declared, 1)
		require.Equal(t, []string{"q"}, []string{w.declared[0].Containers[0].PodUID})
		require.Empty(t, w.submits, "the JobManager's end isn't proven")
		w.ends = append(w.ends[:0:0], activities.ContainerEnd{ContainerID: "containerd://jm"})
		w.facts.Agent.Idle = true
		w.update(upgrade.UpdateRetry, &again)
	}, 2*time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.True(t, accepted && again)
	require.Len(t, w.submits, 1)
}

func (w *world) decideDead(accepted *bool) {
	w.send(upgrade.UpdateDecide, accepted, upgrade.Decision{Option: upgrade.OptionDeclareDead, Reason: "off (by anna)"})
}

// It is no way on where every container is heard of, or where the question isn't
// one of proof.
func TestNobodyDeclaresDeadWhatSpeaks(t *testing.T) {
	for name, change := range map[string]func(*world){
		"every kubelet answers": func(w *world) { w.unheard = nil },
		"the submission is over": func(w *world) {
			w.state.Intent.Outcome = lease.Closed
			w.stops = slices.Repeat([]answer[agentapi.StopOut]{{err: failure.New(failure.Unproven, "a task may still run")}}, 2)
		},
		"it is no question of proof": func(w *world) {
			w.stops = slices.Repeat([]answer[agentapi.StopOut]{{err: failure.New(failure.Refused, "the agent refuses it")}}, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := stopLost(t)
			change(w)
			asked, accepted := false, true
			w.env.RegisterDelayedCallback(func() {
				p := w.progress(t)
				asked = p.Phase == job.Waiting
				require.NotContains(t, names(p.Options), upgrade.OptionDeclareDead)
				w.decideDead(&accepted)
			}, time.Hour)
			w.env.RegisterDelayedCallback(func() {
				w.stops, w.ends, w.facts.Agent.Idle = nil, []activities.ContainerEnd{{ContainerID: "containerd://jm"}}, true
				var retried bool
				w.update(upgrade.UpdateRetry, &retried)
			}, 2*time.Hour)
			w.run()
			require.True(t, asked)
			require.False(t, accepted)
			require.Empty(t, w.declared)
		})
	}
}

// A Kubernetes that doesn't answer keeps nobody from being asked.
func TestTheQuestionDoesNotWaitForKubernetes(t *testing.T) {
	w := stopLost(t)
	away := true
	w.onCall = func(name string) {
		switch name {
		case activities.StopJob.Name:
			w.facts.Agent.JobState = ""
		case activities.UnheardContainers.Name:
			if away {
				panic("away")
			}
		}
	}
	w.env.RegisterDelayedCallback(func() {
		require.NotContains(t, names(w.progress(t).Options), upgrade.OptionDeclareDead)
		require.Contains(t, names(w.progress(t).Options), upgrade.OptionRetry)
		away = false
		w.ends, w.facts.Agent.Idle = []activities.ContainerEnd{{ContainerID: "containerd://jm"}}, true
		var retried bool
		w.update(upgrade.UpdateRetry, &retried)
	}, time.Hour)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
}
