package worker

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/effect"
	"sluice/internal/telemetry"
	"sluice/internal/telemetry/ontemporal"
	"sluice/workflows/upgrade"
)

// TestOneTracePerOperation: whoever asked is the root; the run, its activities,
// their effects and the agent's commands lie below it. (The api's part and the
// agent's own are tested there.)
func TestOneTracePerOperation(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	m := measured(t)
	otel.SetTracerProvider(provider)
	ctx, root := provider.Tracer("test").Start(t.Context(), "api startOperation")

	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, span := otel.Tracer("agent").Start(telemetry.Extract(r.Context(), r.Header), "agent prepare")
		span.End()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"c","phase":"done","version":1,"result":{}}`))
	}))
	t.Cleanup(agent.Close)

	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetHeader(startedUnder(t, ctx))
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{
		ontemporal.Interceptor(), &edge{log: slog.New(slog.DiscardHandler), metrics: m},
	}})
	def := activities.Def[agentapi.Command, agentapi.Status]{Name: "agent.Prepare"}
	env.RegisterActivityWithOptions(func(ctx context.Context, command agentapi.Command) (agentapi.PrepareOut, error) {
		return effect.Do(ctx, effect.RunPrimer, "id", func(ctx context.Context) (agentapi.PrepareOut, error) {
			return agentapi.Run[agentapi.PrepareOut](ctx, agentapi.NewClient(nil), agentapi.Endpoint{URL: agent.URL}, command, nil)
		})
	}, activity.RegisterOptions{Name: def.Name})
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 1e10})
		return workflow.ExecuteActivity(ctx, def.Name, agentapi.Command{ID: "c"}).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: upgrade.WorkflowName})
	env.ExecuteWorkflow(upgrade.WorkflowName)
	require.NoError(t, env.GetWorkflowError())
	root.End()

	parents := map[string]string{}
	names := map[string]string{}
	for _, s := range spans.GetSpans() {
		require.Equal(t, root.SpanContext().TraceID(), s.SpanContext.TraceID(), s.Name)
		names[s.SpanContext.SpanID().String()] = s.Name
		parents[s.Name] = s.Parent.SpanID().String()
	}
	for child, parent := range map[string]string{
		"RunWorkflow:upgrade":         "api startOperation",
		"StartActivity:agent.Prepare": "RunWorkflow:upgrade",
		"RunActivity:agent.Prepare":   "StartActivity:agent.Prepare",
		"effect run-primer":           "RunActivity:agent.Prepare",
		"agent prepare":               "effect run-primer",
	} {
		require.Equal(t, parent, names[parents[child]], "parent of %s; spans: %v", child, names)
	}
}

// startedUnder is the header that a client's interceptor writes.
func startedUnder(t *testing.T, ctx context.Context) *commonpb.Header { //nolint:revive // the test comes first
	t.Helper()
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	payload, err := converter.GetDefaultDataConverter().ToPayload(map[string]string(carrier))
	require.NoError(t, err)
	return &commonpb.Header{Fields: map[string]*commonpb.Payload{"_tracer-data": payload}}
}
