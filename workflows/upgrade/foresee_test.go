package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

func TestAPlanPredictsFromWhatWasCommitted(t *testing.T) {
	past := func(all ...activities.Past) *activities.PastOut { return &activities.PastOut{Operations: all} }
	plan := func(f upgrade.Facts) upgrade.Plan {
		p, err := upgrade.Decide(f)
		require.NoError(t, err)
		return p
	}
	f := runningFacts(job.Request{Kind: job.Upgrade})
	require.Nil(t, plan(f).Predicted, "nobody asked")
	unasked := plan(f).Digest

	f.Past = past()
	p := plan(f)
	require.Equal(t, &upgrade.Prediction{Note: "not known: how long a savepoint takes, how long the job is down; no committed operation of this job says"}, p.Predicted)

	f.Past = past(
		activities.Past{Strategy: job.Warm, SavepointMS: 300, DowntimeMS: 900},
		activities.Past{Strategy: job.Cold, SavepointMS: 100, DowntimeMS: 9000},
		activities.Past{SavepointMS: 200},
		activities.Past{Strategy: job.Warm, DowntimeMS: -1},
	)
	p = plan(f)
	require.Equal(t, &upgrade.Prediction{SavepointMS: 200, Savepoints: 3, DowntimeMS: 900, Downtimes: 1}, p.Predicted)
	require.Equal(t, unasked, p.Digest, "a prediction is no part of what was seen")

	f.Request.Kind = job.Stop
	require.Equal(t, &upgrade.Prediction{SavepointMS: 200, Savepoints: 3}, plan(f).Predicted, "nothing runs again")
}

func TestAPlanThatDoesNotFitTheQuota(t *testing.T) {
	room := activities.QuotaRoom{Quota: "tenant", Resource: "requests.memory", Hard: "8Gi", Left: "1Gi", Needs: "3Gi", FitsCold: true}
	tight := room
	tight.FitsCold = false
	fits := room
	fits.Fits = true
	for name, c := range map[string]struct {
		request job.Request
		room    activities.QuotaRoom
		next    string // "": planned
	}{
		"it fits":                            {job.Request{Kind: job.Upgrade}, fits, ""},
		"it doesn't":                         {job.Request{Kind: job.Upgrade}, room, "allowCold"},
		"cold is allowed":                    {job.Request{Kind: job.Upgrade, AllowCold: true}, room, ""},
		"cold is asked for":                  {job.Request{Kind: job.Upgrade, Strategy: job.Cold}, room, ""},
		"not even cold":                      {job.Request{Kind: job.Upgrade, AllowCold: true}, tight, "allowUnchecked"},
		"not even cold, which was asked for": {job.Request{Kind: job.Upgrade, Strategy: job.Cold}, tight, "allowUnchecked"},
		"unchecked is allowed":               {job.Request{Kind: job.Upgrade, AllowCold: true, AllowUnchecked: true}, tight, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := runningFacts(c.request)
			before, err := upgrade.Decide(f)
			require.NoError(t, err)
			f.Quota.Rooms = []activities.QuotaRoom{c.room}
			plan, err := upgrade.Decide(f)
			if c.next == "" {
				require.NoError(t, err)
				require.Equal(t, f.Quota.Rooms, plan.Quota)
				require.Equal(t, before.Digest, plan.Digest, "what others use is no part of what was seen")
				return
			}
			require.Equal(t, failure.Refused, failure.CodeOf(err))
			require.ErrorContains(t, err, "ResourceQuota tenant has no room")
			require.ErrorContains(t, err, "of requests.memory it needs 3Gi, 1Gi of 8Gi are left")
			require.Contains(t, failure.Of(err).Next, c.next)
		})
	}
}

// It is refused before anything is made.
func TestNothingIsMadeThatTheQuotaRefuses(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.rooms = []activities.QuotaRoom{{Quota: "tenant", Resource: "pods", Hard: "3", Left: "0", Needs: "3"}}
	w.run()
	require.ErrorContains(t, w.env.GetWorkflowError(), "no room")
	require.NotContains(t, w.calls, activities.ReserveGeneration.Name)
	require.NotContains(t, w.calls, activities.StopJob.Name)
}
