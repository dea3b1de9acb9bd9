package flow_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/workflows/internal/flow"
)

func TestOnAReadOnlyContextOnlyLooksAreTaken(t *testing.T) {
	for class, taken := range map[activities.Class]bool{activities.Quick: true, activities.Effect: false, activities.Await: false} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second}) // machines under load
		def, called := activities.Def[string, string]{Name: "x", Class: class}, false
		env.RegisterActivityWithOptions(func(_ context.Context, in string) (string, error) {
			called = true
			return in, nil
		}, activity.RegisterOptions{Name: def.Name})
		env.ExecuteWorkflow(func(ctx workflow.Context) error {
			_, err := flow.Do(flow.ReadOnly(ctx), "q", def, "in", "a look")
			require.Equal(t, taken, err == nil)
			if err != nil {
				require.Equal(t, failure.Internal, failure.CodeOf(err))
			}
			return nil
		})
		require.NoError(t, env.GetWorkflowError())
		require.Equal(t, taken, called)
	}
}

// A person hears of a silent agent within minutes; of nothing else that is away.
func TestOnlyAnAgentsSilenceIsBounded(t *testing.T) {
	const unbounded = 10 // the test environment's own word for it
	agents := activities.Def[activities.AgentIn, string]{Name: "a", Class: activities.Await}
	others := activities.Def[string, string]{Name: "x", Class: activities.Quick}
	toAgent := func(ctx workflow.Context) { _, _ = flow.Do(ctx, "q", agents, activities.AgentIn{}, "a") }
	patient := func(ctx workflow.Context) workflow.Context { return flow.Patient(flow.BoundSilence(ctx)) }
	for name, c := range map[string]struct {
		bound func(workflow.Context) workflow.Context
		call  func(workflow.Context)
		tries int
	}{
		"an agent":        {flow.BoundSilence, toAgent, 15},
		"HDFS":            {flow.BoundSilence, func(ctx workflow.Context) { _, _ = flow.Do(ctx, "q", others, "", "x") }, unbounded},
		"before the stop": {func(ctx workflow.Context) workflow.Context { return ctx }, toAgent, unbounded},
		"taken back":      {patient, toAgent, unbounded},
	} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
			tries := 0
			away := func() (string, error) {
				tries++
				return "", ontemporal.Error(failure.New(failure.Unavailable, "away"))
			}
			env.RegisterActivityWithOptions(func(context.Context, activities.AgentIn) (string, error) { return away() }, activity.RegisterOptions{Name: agents.Name})
			env.RegisterActivityWithOptions(func(context.Context, string) (string, error) { return away() }, activity.RegisterOptions{Name: others.Name})
			start := env.Now()
			env.ExecuteWorkflow(func(ctx workflow.Context) error { c.call(c.bound(ctx)); return nil })
			require.NoError(t, env.GetWorkflowError())
			require.Equal(t, c.tries, tries)
			require.Less(t, env.Now().Sub(start), 5*time.Minute)
		})
	}
}
