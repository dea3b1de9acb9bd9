package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

var ofTests = config.Worker{Site: "dc1", Tenants: []config.Tenant{{Name: "shop"}, {Name: "bank"}}}

func measured(t *testing.T) *metrics {
	t.Helper()
	m, err := newMetrics(ofTests, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return m
}

func scraped(t *testing.T, m *metrics) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	var ours strings.Builder
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.HasPrefix(line, "sluice_") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

func TestOperationsAreCounted(t *testing.T) {
	m := measured(t)
	require.Contains(t, scraped(t, m), `sluice_operations_total{kind="upgrade",outcome="rolled-back",tenant="bank"} 0`, "from the start")
	p := upgrade.Progress{
		Job: job.Ref{Tenant: "shop", Name: "orders"}, Kind: job.Upgrade, Phase: job.Committed, DowntimeMS: 983,
		Plan:  &upgrade.Plan{Strategy: job.Warm},
		Steps: []upgrade.Step{{Name: "stop", State: "done", DurationMS: 334}, {Name: "commit", State: "done", DurationMS: 164}},
	}
	m.operation(p, 20*time.Second)
	p.Phase, p.Rollback = job.Failed, &upgrade.Rollback{Why: "it fell"}
	m.operation(p, 40*time.Second)
	text := scraped(t, m)
	for _, line := range []string{
		`sluice_operations_total{kind="upgrade",outcome="committed",tenant="shop"} 1`,
		`sluice_operations_total{kind="upgrade",outcome="rolled-back",tenant="shop"} 1`,
		`sluice_operation_downtime_seconds_bucket{kind="upgrade",strategy="warm",tenant="shop",le="0.75"} 0`,
		`sluice_operation_downtime_seconds_bucket{kind="upgrade",strategy="warm",tenant="shop",le="1"} 2`,
		`sluice_operation_step_duration_seconds_count{kind="upgrade",state="done",step="stop"} 2`,
		`sluice_operation_duration_seconds_sum{kind="upgrade",outcome="rolled-back"} 40`,
	} {
		require.Contains(t, text, line)
	}
	require.NotContains(t, text, "orders", "a job's name is no label: there are ten thousand of them")
}

// A query on a worker that has never seen the run replays it to its end.
func TestReplayCountsNothing(t *testing.T) {
	m := measured(t)
	seen := 0
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{Interceptors: []interceptor.WorkerInterceptor{
		&edge{log: slog.New(slog.DiscardHandler), metrics: m}, &witness{seen: &seen},
	}})
	require.NoError(t, err)
	replayer.RegisterWorkflowWithOptions(upgrade.Workflow, workflow.RegisterOptions{Name: upgrade.WorkflowName})
	require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(quiet{}, "../testsuite/histories/recorded/upgrade-warm/2-upgrade.json"))
	require.Equal(t, 1, seen, "the run was replayed to its end")
	require.Contains(t, scraped(t, m), `sluice_operations_total{kind="upgrade",outcome="committed",tenant="shop"} 0`)
}

// witness sees that a workflow ended.
type witness struct {
	interceptor.WorkerInterceptorBase
	seen *int
}

func (w *witness) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &witnessed{interceptor.WorkflowInboundInterceptorBase{Next: next}, w.seen}
}

type witnessed struct {
	interceptor.WorkflowInboundInterceptorBase
	seen *int
}

func (w *witnessed) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	result, err := w.Next.ExecuteWorkflow(ctx, in)
	if _, ok := result.(upgrade.Progress); ok {
		*w.seen++
	}
	return result, err
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// listed answers as Temporal's visibility.
type listed struct {
	query   string
	tenants []string
	err     error
}

func (l *listed) ListWorkflow(_ context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	l.query = request.GetQuery()
	answer := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, tenant := range l.tenants {
		payload, _ := converter.GetDefaultDataConverter().ToPayload(tenant)
		answer.Executions = append(answer.Executions, &workflowpb.WorkflowExecutionInfo{SearchAttributes: &commonpb.SearchAttributes{
			IndexedFields: map[string]*commonpb.Payload{"SluiceTenant": payload},
		}})
	}
	return answer, l.err
}

func TestWaitingOperationsAreTheObserversToTell(t *testing.T) {
	m := measured(t)
	leads := false
	temporal := &listed{tenants: []string{"shop", "shop"}}
	require.NoError(t, m.look(func() bool { return leads }, temporal, ofTests))
	text := scraped(t, m)
	require.Contains(t, text, `sluice_observer_leading{site="dc1"} 0`)
	require.NotContains(t, text, "sluice_operations_waiting{")
	require.Empty(t, temporal.query, "only the observer asks")

	leads = true
	text = scraped(t, m)
	require.Contains(t, text, `sluice_observer_leading{site="dc1"} 1`)
	require.Contains(t, text, `sluice_operations_waiting{site="dc1",tenant="shop"} 2`)
	require.Contains(t, text, `sluice_operations_waiting{site="dc1",tenant="bank"} 0`)
	require.Equal(t, "ExecutionStatus='Running' AND SluicePhase='waiting' AND SluiceSite='dc1'", temporal.query)

	temporal.err = errors.New("away")
	text = scraped(t, m)
	require.NotContains(t, text, "sluice_operations_waiting{", "not known is not 0")
	require.Contains(t, text, `sluice_observer_leading{site="dc1"} 1`, "the rest is served")
}

func TestAttemptsAreCountedByCode(t *testing.T) {
	m := measured(t)
	m.attempt(t.Context(), "kube.ReadLease", nil, time.Millisecond)
	m.attempt(t.Context(), "kube.ReadLease", failure.New(failure.Unavailable, "away"), time.Second)
	text := scraped(t, m)
	require.Contains(t, text, `sluice_worker_activity_duration_seconds_count{activity="kube.ReadLease",code="ok"} 1`)
	require.Contains(t, text, `sluice_worker_activity_duration_seconds_count{activity="kube.ReadLease",code="unavailable"} 1`)
}
