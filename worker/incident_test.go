package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// line is where incidents are told.
type line struct {
	cut     error
	id      string
	signal  any
	options client.StartWorkflowOptions
	started any
	first   []any
}

func (l *line) SignalWithStartWorkflow(_ context.Context, id, name string, arg any, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	l.id, l.signal, l.options, l.started, l.first = id+" "+name, arg, options, workflow, args
	return nil, l.cut
}

// Whoever has the job's lock is told; where nobody has it, a run that has no operation.
func TestAnIncidentIsToldUnderTheJobsLock(t *testing.T) {
	l, incident := &line{}, job.Incident{ID: "i", Job: job.Ref{Tenant: "shop", Name: "orders"}}
	require.NoError(t, incidents{l, "dc1"}.Tell(t.Context(), incident))
	require.Equal(t, "job/shop/orders incident", l.id)
	require.Equal(t, incident, l.signal)
	require.Equal(t, upgrade.RecordingName, l.started)
	require.Equal(t, []any{incident}, l.first)
	require.Equal(t, "job/shop/orders", l.options.ID)
	require.NotContains(t, l.options.Memo, upgrade.MemoOperation)

	l.cut = errors.New("no way to Temporal")
	require.Equal(t, failure.Unavailable, failure.CodeOf(incidents{l, "dc1"}.Tell(t.Context(), incident)))
}
