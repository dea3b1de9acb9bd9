package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
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
