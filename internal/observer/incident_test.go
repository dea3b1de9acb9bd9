package observer

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/lease"
	"sluice/internal/store"
)

// flows are who is told; they may be away.
type flows struct {
	away bool
	told []job.Incident
}

func (f *flows) Tell(_ context.Context, incident job.Incident) error {
	if f.away {
		return errors.New("Temporal is away")
	}
	f.told = append(f.told, incident)
	return nil
}

// ends is a record that only counts.
type ends map[string]int

func (e ends) RecordContainerEnd(_ context.Context, end store.ContainerEnd) error {
	e[end.ContainerID]++
	return nil
}

// running7 is the Lease of a job whose submission is to run in container a.
func running7() lease.State {
	return lease.State{
		JobUID: "job-uid", Generation: 7, Epoch: 5, Generations: []lease.Generation{{Number: 7, Standing: lease.Active}},
		Intent: &lease.Intent{
			Epoch: 5, Generation: 7, JobManagerPodUID: "pod-uid", JobManagerContainerID: "containerd://a", JobManagerAttempt: 1, Outcome: lease.Accepted,
		},
	}
}

func seen(change func(*Seen)) Seen {
	s := Ends(sample(func(*core.Pod) {}))[0]
	change(&s)
	return s
}

func TestOnlyTheSubmissionsJobManagerIsAnIncident(t *testing.T) {
	as := func(outcome lease.Outcome) func(*lease.State) {
		return func(s *lease.State) { s.Intent.Outcome = outcome }
	}
	asIs, same := func(*lease.State) {}, func(*Seen) {}
	for name, c := range map[string]struct {
		state func(*lease.State)
		seen  func(*Seen)
		told  bool
	}{
		"the container that took it":           {asIs, same, true},
		"its answer is still open":             {as(lease.Open), same, true},
		"a later container of its pod":         {asIs, func(s *Seen) { s.ContainerID, s.Attempt = "containerd://c", 3 }, true},
		"an earlier container of its pod":      {asIs, func(s *Seen) { s.ContainerID, s.Attempt = "containerd://0", 1 }, false},
		"of another pod":                       {asIs, func(s *Seen) { s.ContainerID, s.PodUID, s.Attempt = "containerd://x", "q", 9 }, false},
		"it had ended before":                  {as(lease.Finished), same, false},
		"it was closed":                        {as(lease.Closed), same, false},
		"nothing was submitted":                {func(s *lease.State) { s.Intent = nil }, same, false},
		"its generation is not the active one": {func(s *lease.State) { s.Generations[0].Standing = lease.Retired }, same, false},
	} {
		state := running7()
		c.state(&state)
		incident, told := incidentOf(state, seen(c.seen))
		require.Equal(t, c.told, told, name)
		if told {
			require.Equal(t, job.IncidentID("job-uid", 5, "containerd://a"), incident.ID, "%s: one loss, one id", name)
			require.EqualValues(t, 5, incident.Epoch)
		}
	}
}

// Temporal is away: the proof is written all the same, the end stays pending, and
// is told when Temporal is back.
func TestAnIncidentIsToldUntilItArrives(t *testing.T) {
	cluster := fake.NewClientset()
	writer, key := lease.Client{API: cluster.CoordinationV1()}, lease.Key{Namespace: "shop", Name: "orders", JobUID: "job-uid"}
	require.NoError(t, writer.Create(t.Context(), key, nil))
	_, err := writer.Update(t.Context(), key, func(lease.State) (lease.State, error) { return running7(), nil })
	require.NoError(t, err)

	told, recorded := &flows{away: true}, ends{}
	o := New(Config{Cluster: &kube.Cluster{Interface: cluster}, Record: recorded, Incidents: told, Log: slog.New(slog.DiscardHandler)})
	pod := sample(func(*core.Pod) {})
	at := cache.MetaObjectToName(pod)
	o.pending, o.known = map[cache.ObjectName][]Seen{at: Ends(pod)}, map[cache.ObjectName]map[string]bool{}

	require.Error(t, o.record(t.Context(), at))
	require.Equal(t, 1, recorded["containerd://a"], "the proof waits for nobody")
	require.False(t, o.recorded(pod), "the finalizer stays until it is told")
	told.away = false
	require.NoError(t, o.record(t.Context(), at))
	require.True(t, o.recorded(pod))
	require.Len(t, told.told, 1)
	require.Equal(t, job.Incident{
		ID: job.IncidentID("job-uid", 5, "containerd://a"), Job: job.Ref{Tenant: "shop", Name: "orders"}, UID: "job-uid", Generation: 7, Epoch: 5,
		ContainerID: "containerd://a", ExitCode: 143, Reason: "Error", FinishedAt: "2026-11-01T12:00:00Z",
	}, told.told[0])
}

func TestWhatIsNoJobsIsNoIncident(t *testing.T) {
	told := &flows{}
	o := New(Config{Cluster: &kube.Cluster{Interface: fake.NewClientset()}, Incidents: told, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, o.tell(t.Context(), seen(func(*Seen) {})), "no Lease")
	require.NoError(t, o.tell(t.Context(), seen(func(s *Seen) { s.Container = "fetch" })), "an init container")
	require.Empty(t, told.told)
}
