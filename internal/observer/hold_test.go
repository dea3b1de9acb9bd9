package observer

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/lease"
	"sluice/internal/manifest"
)

// openRuns is a Temporal in which one operation's run is open.
type openRuns struct {
	open  string
	away  bool
	asked func()
}

func (r *openRuns) Open(context.Context, job.Ref) (string, error) {
	if r.asked != nil {
		r.asked()
	}
	if r.away {
		return "", errors.New("Temporal is away")
	}
	return r.open, nil
}

// held is a Lease that is held, and who looks at it.
type held struct {
	*holds
	runs   *openRuns
	told   *flows
	key    cache.ObjectName
	writer func(func(lease.State) (lease.State, error))
}

func givenHold(t *testing.T, operation string) *held {
	t.Helper()
	cluster := fake.NewClientset()
	client, key := lease.Client{API: cluster.CoordinationV1()}, lease.Key{Namespace: "shop", Name: "orders", JobUID: "job-uid"}
	require.NoError(t, client.Create(t.Context(), key, manifest.JobLabels("shop", "orders")))
	h := &held{runs: &openRuns{}, told: &flows{}, key: cache.ObjectName{Namespace: "shop", Name: "orders"}}
	h.holds = newHolds(Config{Cluster: &kube.Cluster{Interface: cluster}, Incidents: h.told, Runs: h.runs, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(h.queue.ShutDown)
	h.stores["shop"] = cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	h.writer = func(decide func(lease.State) (lease.State, error)) {
		_, err := client.Update(t.Context(), key, decide)
		require.NoError(t, err)
		object, err := cluster.CoordinationV1().Leases("shop").Get(t.Context(), "orders", meta.GetOptions{})
		require.NoError(t, err)
		require.NoError(t, h.stores["shop"].Update(object)) // as the informer does
		h.notice(object)
	}
	h.writer(func(lease.State) (lease.State, error) { return running7(), nil })
	h.hold(operation)
	return h
}

func (h *held) hold(operation string) {
	h.writer(func(s lease.State) (lease.State, error) {
		return s.Place(operation, "2026-11-01T12:00:00Z", s.Released)
	})
}

func (h *held) looks(t *testing.T, times int) {
	t.Helper()
	for range times {
		_, err := h.look(t.Context(), h.key)
		require.NoError(t, err)
	}
}

// Its run isn't open, at two looks in a row: told once.
func TestAHoldWithoutARunIsAnIncident(t *testing.T) {
	h := givenHold(t, "DEAD")
	again, err := h.look(t.Context(), h.key)
	require.NoError(t, err)
	require.Equal(t, holdGrace, again)
	require.Empty(t, h.told.told, "it may be about to close")
	h.looks(t, 3)
	require.Equal(t, []job.Incident{{
		ID: job.HoldIncidentID("job-uid", 5, "DEAD"), Kind: job.IncidentHold, Job: job.Ref{Tenant: "shop", Name: "orders"}, UID: "job-uid",
		Generation: 7, Epoch: 5, HeldBy: "DEAD", FinishedAt: "2026-11-01T12:00:00Z",
	}}, h.told.told)
}

// Another operation's run has the lock: the holder's isn't open either.
func TestAHoldOfAnotherThanTheOpenRunIsAnIncident(t *testing.T) {
	h := givenHold(t, "DEAD")
	h.runs.open = "NEXT"
	h.looks(t, 2)
	require.Len(t, h.told.told, 1)
}

func TestAHoldWhoseRunIsOpenIsNone(t *testing.T) {
	h := givenHold(t, "OP")
	h.runs.open = "OP"
	for range 3 {
		again, err := h.look(t.Context(), h.key)
		require.NoError(t, err)
		require.Equal(t, holdLookAgain, again, "a run's end is no event")
	}
	h.runs.open = ""
	h.looks(t, 1)
	h.runs.open = "OP" // it handed over and came again
	h.looks(t, 1)
	h.runs.open = ""
	h.looks(t, 1)
	require.Empty(t, h.told.told, "never two looks in a row")
	h.looks(t, 1)
	require.Len(t, h.told.told, 1, "its run was ended meanwhile")
}

// Temporal is away: nothing is concluded, neither then nor from before.
func TestWhileTemporalIsAwayNoHoldIsAccused(t *testing.T) {
	h := givenHold(t, "OP")
	h.runs.away = true
	for range 3 {
		_, err := h.look(t.Context(), h.key)
		require.Error(t, err)
	}
	require.Empty(t, h.told.told)
	h.runs.away, h.told.away = false, true
	h.looks(t, 1)
	_, err := h.look(t.Context(), h.key)
	require.Error(t, err, "it can't be told")
	h.told.away = false
	h.looks(t, 1)
	require.Len(t, h.told.told, 1)
}

// A run gives its hold up, and closes, between the look at Temporal and that at
// the Lease.
func TestAHoldThatIsGivenUpMeanwhileIsNone(t *testing.T) {
	h := givenHold(t, "OP")
	h.looks(t, 1)
	h.runs.asked = func() {
		h.writer(func(s lease.State) (lease.State, error) { return s.Release("OP", "") })
	}
	h.looks(t, 1)
	require.Empty(t, h.told.told)
	h.runs.asked = nil
	again, err := h.look(t.Context(), h.key)
	require.NoError(t, err)
	require.Zero(t, again, "a free Lease isn't looked at")
	require.Empty(t, h.seen)

	h.hold("NEXT") // another's hold begins anew
	h.looks(t, 1)
	require.Empty(t, h.told.told)
}

// Only the job's own Lease says who holds it.
func TestALeaseThatIsNoWritersIsNotLookedAt(t *testing.T) {
	h := givenHold(t, "OP")
	object, err := h.config.Cluster.CoordinationV1().Leases("shop").Get(t.Context(), "orders", meta.GetOptions{})
	require.NoError(t, err)
	object.Name, object.Annotations = "other", nil
	h.notice(object)
	require.NotContains(t, h.seen, cache.ObjectName{Namespace: "shop", Name: "other"})
}
