package flow_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"sluice/workflows/internal/flow"
)

// What failed stays for the next time, also where another entry forgot the rest.
func TestAnUndoMayForgetTheOthers(t *testing.T) {
	var ran []string
	env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		var u flow.Undo
		failing := true
		push := func(name string, run func() error) {
			u.Push(name, func(workflow.Context) error { ran = append(ran, name); return run() })
		}
		push("first", func() error { return nil })
		push("second", func() error { u.Forget(); return nil })
		push("third", func() error {
			if failing {
				return errors.New("not yet")
			}
			return nil
		})
		if err := u.Run(ctx); err == nil {
			return errors.New("the failure is lost")
		}
		failing = false
		return u.Run(ctx)
	})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{"third", "second", "third"}, ran)
}
