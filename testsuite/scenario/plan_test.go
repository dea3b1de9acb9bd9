//go:build scenario

package scenario_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// planned asks for a plan, with a spec that is not applied yet where one is given.
func planned(w *World, request job.Request, spec *job.Spec) upgrade.Plan {
	w.T.Helper()
	var plan upgrade.Plan
	w.Want(http.StatusOK, http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(w.T, request, spec), &plan)
	w.Say("planned %s: %s", request.Kind, plan.Digest)
	return plan
}

func planBody(t *testing.T, request job.Request, spec *job.Spec) map[string]any {
	t.Helper()
	data, err := json.Marshal(request)
	require.NoError(t, err)
	body := map[string]any{}
	require.NoError(t, json.Unmarshal(data, &body))
	if spec != nil {
		body["spec"] = spec
	}
	return body
}

// touched is all that a plan could have written: versions of the job's objects in
// Kubernetes, its revisions and operations.
func touched(w *World) map[string]string {
	w.T.Helper()
	ctx, found := context.Background(), map[string]string{}
	leases, err := w.Kube.CoordinationV1().Leases(w.Tenant).List(ctx, meta.ListOptions{LabelSelector: "sluice.io/job=" + w.Name})
	require.NoError(w.T, err)
	for _, l := range leases.Items {
		found["lease/"+l.Name] = l.ResourceVersion
	}
	objects, err := w.Kube.CoreV1().ConfigMaps(w.Tenant).List(ctx, meta.ListOptions{LabelSelector: "sluice.io/job=" + w.Name})
	require.NoError(w.T, err)
	for _, o := range objects.Items {
		found["configmap/"+o.Name] = o.ResourceVersion
	}
	for _, list := range []string{"revisions", "operations", "snapshots"} {
		found[list] = string(w.Call(http.MethodGet, "/jobs/"+w.Name+"/"+list, nil).Body)
	}
	return found
}

// planThenUpgrade: a plan changes nothing, is the one that the operation then
// makes, and an operation of a stale one ends before it has changed anything. The
// upgrade is followed by its events, with a cut in between.
func planThenUpgrade(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	start := Request(job.Start)
	start.PlanDigest = planned(w, start, nil).Digest
	o := w.Run(start)
	require.Equal(t, start.PlanDigest, o.Progress.Plan.Digest)
	w.Records(300)

	before := touched(w)
	require.NotEmpty(t, before["lease/"+w.Name])
	spec := w.Spec(V2, w.Push(V2.Jar))
	ahead := planned(w, Request(job.Upgrade), &spec)
	require.Equal(t, 2, ahead.To.Revision)
	require.Equal(t, "artifact", ahead.Changes[0].Field)
	require.Equal(t, ahead, planned(w, Request(job.Upgrade), &spec), "the same facts, the same plan")
	refused := w.Call(http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(t, Request(job.Start), nil))
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Equal(t, "/problems/"+string(failure.Refused), refused.Problem(t).Type)
	w.Say("a start would be refused: %s", refused.Problem(t).Detail)
	require.Equal(t, before, touched(w), "a plan has no effects")

	w.Apply(V2)
	cold := Request(job.Upgrade)
	cold.Strategy = job.Cold
	before = touched(w)
	stale := Request(job.Upgrade)
	stale.PlanDigest = planned(w, cold, nil).Digest
	o = w.Fails(stale)
	require.Equal(t, failure.Conflict, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, stale.PlanDigest)
	require.Contains(t, o.Progress.Failure.Message, ahead.Digest)
	after := touched(w)
	delete(before, "operations")
	delete(after, "operations") // it is one
	require.True(t, maps.Equal(before, after), "a stale plan changed something: %v → %v", before, after)

	request := Request(job.Upgrade)
	request.PlanDigest = ahead.Digest // from before the apply
	accepted := w.Begin(request)
	seen := 0
	events := told(w.Events(accepted.Operation, "", func(e Event) bool {
		if e.Name == "progress" {
			seen++
		}
		return seen == 5
	}))
	events = append(events, told(w.Events(accepted.Operation, events[4].ID, func(e Event) bool { return e.Name == "end" }))...)
	end, version := events[len(events)-1], int64(0)
	for _, e := range events[:len(events)-1] {
		require.Equal(t, "progress", e.Name)
		require.Greater(t, e.Progress.Version, version, "nothing twice, also over the cut")
		require.Equal(t, strconv.FormatInt(e.Progress.Version, 10), e.ID)
		version = e.Progress.Version
	}
	require.Equal(t, job.Committed, end.Phase, "%+v", end.Progress.Failure)
	require.True(t, end.Final)
	require.Equal(t, w.Operation(accepted.Operation), end.Operation)
	w.Say("%d events, the last of version %d", len(events), version)
	w.Records(1200)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}

// told leaves out that nobody could say anything for a moment, as before the
// run's first step.
func told(events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool { return e.Name == "unavailable" })
}
