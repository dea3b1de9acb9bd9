//go:build contract

package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// planner behaves towards the api as upgrade.PlanOnly does.
func planner(ctx workflow.Context, in upgrade.PlanInput) (upgrade.Plan, error) {
	plan := upgrade.Plan{Digest: "sha256:" + strings.Repeat("d", 64), Kind: in.Request.Kind, Restore: "stateless", Steps: []string{"submit"}}
	if in.Spec != nil {
		plan.To = &upgrade.Side{Revision: 2, Digest: in.Spec.Digest()}
	}
	switch {
	case in.Request.Kind == job.Stop:
		return plan, ontemporal.Error(failure.New(failure.Refused, "the job doesn't run").WithNext("sluice op start"))
	case in.Request.Kind == job.Savepoint:
		return plan, workflow.Sleep(ctx, time.Hour)
	case in.Request.PlanDigest != "" && in.Request.PlanDigest != plan.Digest:
		return plan, ontemporal.Error(failure.New(failure.Conflict, "the plan is stale"))
	}
	return plan, nil
}

func (s *stage) plans(body string) answer {
	return s.do(viewerToken, "POST", s.path+"/plans", body)
}

func TestAPlanOverHTTP(t *testing.T) {
	s := newStage(t)
	s.api.planTime = time.Second
	began := time.Now()
	p := s.plans(`{"kind":"start"}`).problem(failure.Unavailable)
	require.Contains(t, p.Detail, "no worker takes it")
	require.Less(t, time.Since(began), 20*time.Second)
	s.api.planTime = planTime

	w := worker.New(s.temporal, job.FlowQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(planner, workflow.RegisterOptions{Name: upgrade.PlanName})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	var plan gen.Plan
	s.plans(`{"kind":"start"}`).json(http.StatusOK, &plan)
	require.Equal(t, "start", plan.Kind)
	require.Equal(t, []string{"submit"}, plan.Steps)
	s.plans(fmt.Sprintf(`{"kind":"start","planDigest":%q,"reason":"again","soakSeconds":3}`, plan.Digest)).json(http.StatusOK, &plan)
	s.plans(`{"kind":"start","planDigest":"sha256:` + strings.Repeat("e", 64) + `"}`).problem(failure.Conflict)
	refused := s.plans(`{"kind":"stop"}`).problem(failure.Refused)
	require.Equal(t, "sluice op start", refused.Next)
	require.Equal(t, "the job doesn't run", refused.Detail)

	// Neither a row, nor a revision, nor the lock.
	spec := `{"engine":{"name":"flink","version":"1.20.5"},"artifact":"sha256:` + strings.Repeat("a", 64) + `","entryClass":"a.Other"}`
	var unapplied gen.Plan
	s.plans(`{"kind":"upgrade","spec":`+spec+`}`).json(http.StatusOK, &unapplied)
	require.Equal(t, 2, unapplied.To.Revision)
	var list gen.OperationList
	s.do(viewerToken, "GET", s.path+"/operations", "").json(http.StatusOK, &list)
	require.Empty(t, list.Items)
	var revisions gen.RevisionList
	s.do(viewerToken, "GET", s.path+"/revisions", "").json(http.StatusOK, &revisions)
	require.Len(t, revisions.Items, 1)
	_, err := s.temporal.DescribeWorkflow(t.Context(), "job/shop/orders", "")
	require.Error(t, err)

	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"as an operation's":      {`{"kind":"explode","revision":9,"profile":"huge","planDigest":"sha256:x"}`, []string{"/kind", "/revision", "/profile", "/planDigest"}},
		"a spec with a stop":     {`{"kind":"stop","spec":` + spec + `}`, []string{"/spec"}},
		"a spec and a revision":  {`{"kind":"start","revision":1,"spec":` + spec + `}`, []string{"/revision"}},
		"a spec that can't be":   {`{"kind":"start","spec":` + strings.Replace(spec, "1.20.5", "9.9", 1) + `}`, []string{"/spec/engine"}},
		"an empty one":           {`{"kind":"start","spec":{"engine":{"name":"","version":""},"artifact":"","entryClass":""}}`, []string{"/spec/engine/name", "/spec/engine/version", "/spec/artifact", "/spec/entryClass"}},
		"an artifact not pushed": {`{"kind":"start","spec":` + strings.Replace(spec, "aaaa", "bbbb", 1) + `}`, []string{"/spec/artifact"}},
	} {
		t.Run(name, func(t *testing.T) {
			answered := s.plans(c.body)
			answered.t = t
			require.Subset(t, fieldNames(answered.problem(failure.Invalid)), c.want)
		})
	}
	s.do(viewerToken, "POST", "/v1/tenants/shop/jobs/nothing/plans", `{"kind":"start"}`).problem(failure.NotFound)

	s.api.planTime = 2 * time.Second
	began = time.Now()
	s.plans(`{"kind":"savepoint"}`).problem(failure.Unavailable)
	require.Less(t, time.Since(began), 20*time.Second)
	require.Empty(t, s.api.plans, "none is kept")
}
