package upgrade_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/sdk/v1"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/workflows/upgrade"
)

func total(c upgrade.StateComparison) [4]int {
	return [4]int{c.Kept.Total, c.Lost.Total, c.New.Total, c.TooWide.Total}
}

func TestCompare(t *testing.T) {
	now := func(id string, parallelism int) agentapi.Operator {
		return agentapi.Operator{ID: id, Name: "new " + id, Parallelism: parallelism}
	}
	had := func(id string, most int) activities.StoredOperator {
		return activities.StoredOperator{ID: id, Parallelism: 1, MaxParallelism: most, State: true, Bound: true, Bytes: 10}
	}
	stateless := activities.StoredOperator{ID: "map", Parallelism: 1, MaxParallelism: 1}
	chained := stateless
	chained.Bound = true
	for name, c := range map[string]struct {
		graph                    []agentapi.Operator
		stored                   []activities.StoredOperator
		kept, lost, new, tooWide int
		refused, refusedAllowed  bool
	}{
		"the same":                           {graph: []agentapi.Operator{now("a", 1), now("map", 1)}, stored: []activities.StoredOperator{had("a", 128), stateless}, kept: 1},
		"an operator went":                   {graph: []agentapi.Operator{now("a", 1)}, stored: []activities.StoredOperator{had("a", 128), had("b", 128)}, kept: 1, lost: 1, refused: true},
		"an operator without state went":     {graph: []agentapi.Operator{now("a", 1)}, stored: []activities.StoredOperator{had("a", 128), stateless}, kept: 1},
		"another uid: lost and new":          {graph: []agentapi.Operator{now("b", 1)}, stored: []activities.StoredOperator{had("a", 128)}, lost: 1, new: 1, refused: true},
		"an operator came":                   {graph: []agentapi.Operator{now("a", 1), now("b", 1)}, stored: []activities.StoredOperator{had("a", 128)}, kept: 1, new: 1},
		"as wide as it may be":               {graph: []agentapi.Operator{now("a", 128)}, stored: []activities.StoredOperator{had("a", 128)}, kept: 1},
		"too wide":                           {graph: []agentapi.Operator{now("a", 129)}, stored: []activities.StoredOperator{had("a", 128)}, tooWide: 1, refused: true, refusedAllowed: true},
		"no state, may be as wide as it is":  {graph: []agentapi.Operator{now("map", 2)}, stored: []activities.StoredOperator{stateless}},
		"no state, in a task with state":     {graph: []agentapi.Operator{now("map", 2)}, stored: []activities.StoredOperator{chained}, tooWide: 1, refused: true, refusedAllowed: true},
		"both, state may go: still too wide": {graph: []agentapi.Operator{now("a", 129)}, stored: []activities.StoredOperator{had("a", 128), had("b", 1)}, lost: 1, tooWide: 1, refused: true, refusedAllowed: true},
		"a snapshot of nothing":              {graph: []agentapi.Operator{now("a", 1)}, new: 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := upgrade.Compare(c.graph, activities.ReadStateOut{Path: "p", CheckpointID: 3, Operators: c.stored}, nil)
			require.Equal(t, [4]int{c.kept, c.lost, c.new, c.tooWide}, total(got))
			require.Equal(t, "p", got.Snapshot)
			for allow, refused := range map[bool]bool{false: c.refused, true: c.refusedAllowed} {
				err := got.Refusal(allow)
				require.Equal(t, refused, err != nil, err)
				if err != nil {
					require.Equal(t, failure.Incompatible, failure.CodeOf(err))
					require.NotEmpty(t, failure.Of(err).Next)
				}
			}
		})
	}
}

// Whoever reads a refusal knows which operators are meant.
func TestARefusalNamesTheOperators(t *testing.T) {
	stored := []activities.StoredOperator{
		{ID: "id-of-both", UID: "orders", Name: "join orders", State: true},
		{ID: "id-of-uid", UID: "clicks", State: true},
		{ID: "id-of-name", Name: "window", State: true},
		{ID: "id-of-vertex", State: true},
		{ID: "id-alone", State: true},
	}
	text := upgrade.Compare(nil, activities.ReadStateOut{Path: "p", Operators: stored}, []agentapi.Vertex{{ID: "id-of-vertex", Name: "enrich"}, {ID: "id-of-name", Name: "other"}}).Refusal(false).Error()
	for _, part := range []string{`"join orders" (uid "orders", id id-of-both)`, `uid "clicks" (id id-of-uid)`, `"window" (id id-of-name)`, `"enrich" (id id-of-vertex)`, "id-alone", "5 operators"} {
		require.Contains(t, text, part)
	}
	for i := range 3000 {
		stored = append(stored, activities.StoredOperator{ID: fmt.Sprintf("%032x", i), Name: strings.Repeat("n", 80), State: true})
	}
	c := upgrade.Compare(nil, activities.ReadStateOut{Path: "p", Operators: stored, Omitted: 7, OmittedState: 7}, nil)
	require.Equal(t, 3005, c.Lost.Total)
	require.Less(t, len(c.Refusal(false).Error()), 1000)
	require.Contains(t, c.Refusal(false).Error(), "and 3000 more")
	require.Contains(t, c.Unknown, "too many")
	require.Len(t, c.Lost.Operators, 50)
}

// comparing is a world whose agent lists operators and whose snapshots say what
// stored does.
type comparing struct {
	*world
	asked    []activities.ReadStateIn
	prepared agentapi.PrepareIn
}

const (
	countID = "b71731f1c0df9c3076c4a455334d0ad6"
	otherID = "0a448493b4782967b150582570326227"
)

func newComparing(t *testing.T, request job.Request, graph []agentapi.Operator, stored activities.ReadStateOut, readErr error) *comparing {
	t.Helper()
	w := &comparing{world: newWorld(t, request)}
	on(w.world, activities.ReadState, func(in activities.ReadStateIn) (activities.ReadStateOut, error) {
		w.asked = append(w.asked, in)
		return stored, ontemporal.Error(readErr)
	})
	w.env.OnActivity(activities.PrepareCluster.Name, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.AgentIn) (agentapi.PrepareOut, error) {
			w.calls = append(w.calls, activities.PrepareCluster.Name)
			w.prepared = *in.Command.Prepare
			return agentapi.PrepareOut{Vertices: []agentapi.Vertex{{ID: countID}}, Operators: graph}, nil
		})
	return w
}

var (
	newGraph = []agentapi.Operator{{ID: otherID, Name: "count", Parallelism: 2}}
	oldState = activities.ReadStateOut{Path: "hdfs://nn/chk-9", CheckpointID: 9, Version: 4, Operators: []activities.StoredOperator{
		{ID: countID, Parallelism: 2, MaxParallelism: 128, State: true, Bound: true, Bytes: 1234},
	}}
)

// The old job is never stopped for a job graph that would lose its state.
func TestLostStateIsRefusedBeforeTheStop(t *testing.T) {
	w := newComparing(t, job.Request{Kind: job.Upgrade}, newGraph, oldState, nil)
	w.facts.Agent.Vertices = []agentapi.Vertex{{ID: countID, Name: "count"}}
	told := ""
	w.onCall = func(activity string) {
		value, err := w.env.QueryWorkflow("__temporal_workflow_metadata")
		if err != nil || activity != activities.ReadState.Name {
			return
		}
		var metadata sdk.WorkflowMetadata
		if value.Get(&metadata) == nil {
			told = metadata.GetCurrentDetails()
		}
	}
	w.run()
	require.Error(t, w.env.GetWorkflowError())
	p := w.progress(t)
	require.Equal(t, job.Failed, p.Phase)
	require.Equal(t, failure.Incompatible, p.Failure.Code)
	require.Contains(t, p.Failure.Message, `"count" (id `+countID)
	require.Contains(t, p.Failure.Next, "allowStateLoss")
	require.Equal(t, 1, p.Plan.State.Lost.Total)
	require.Equal(t, 1, p.Plan.State.New.Total)
	require.NotEmpty(t, p.Plan.Vertices)
	for _, effect := range []string{activities.PlaceHold.Name, activities.AcknowledgeHold.Name, activities.StopJob.Name, activities.SubmitJob.Name} {
		require.Equal(t, -1, w.index(effect), "the running job was touched")
	}
	require.Equal(t, lease.Retired, w.state.Standing(4), "the new generation is removed")
	require.Equal(t, 3, w.state.ActiveGeneration())
	require.Nil(t, w.state.Hold)
	require.Equal(t, []activities.ReadStateIn{{Directory: "/sluice/jobs/U/checkpoints/F5"}}, w.asked, "the running submission's own checkpoints")
	require.True(t, w.prepared.Operators)
	require.Contains(t, told, "Waiting for: the operators in the newest snapshot (since ")
	value, err := w.env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdk.WorkflowMetadata
	require.NoError(t, value.Get(&metadata))
	require.Contains(t, metadata.GetCurrentDetails(), `**lost**: "count" (id `+countID)
}

func TestStateMayGoWhereTheRequestSaysSo(t *testing.T) {
	w := newComparing(t, job.Request{Kind: job.Upgrade, AllowStateLoss: true}, newGraph, oldState, nil)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.Len(t, w.submits, 1)
	require.True(t, w.submits[0].Command.Submit.AllowStateLoss)
	require.Equal(t, 1, w.progress(t).Plan.State.Lost.Total, "what went is on record")
	require.Less(t, w.index(activities.ReadState.Name), w.index(activities.StopJob.Name))
}

func TestStateThatFitsGoesOn(t *testing.T) {
	w := newComparing(t, job.Request{Kind: job.Upgrade}, []agentapi.Operator{{ID: countID, Name: "count", Parallelism: 4}}, oldState, nil)
	w.run()
	require.NoError(t, w.env.GetWorkflowError())
	require.False(t, w.submits[0].Command.Submit.AllowStateLoss)
	state := w.progress(t).Plan.State
	require.Equal(t, []upgrade.StateOperator{{ID: countID, Name: "count", Parallelism: 4, MaxParallelism: 128, Bytes: 1234}}, state.Kept.Operators)
	require.EqualValues(t, 9, state.CheckpointID)
}

func TestTooWideIsRefusedBeforeTheStop(t *testing.T) {
	w := newComparing(t, job.Request{Kind: job.Upgrade, AllowStateLoss: true}, []agentapi.Operator{{ID: countID, Name: "count", Parallelism: 129}}, oldState, nil)
	w.run()
	require.Error(t, w.env.GetWorkflowError())
	require.Equal(t, failure.Incompatible, w.progress(t).Failure.Code)
	require.Contains(t, w.progress(t).Failure.Message, "at most 128")
	require.Equal(t, -1, w.index(activities.StopJob.Name))
}

// A start compares with the snapshot that it restores; one that restores none
// compares nothing.
func TestAStartComparesToo(t *testing.T) {
	stopped := func(request job.Request) *comparing {
		w := newComparing(t, request, newGraph, oldState, nil)
		w.facts = stoppedFacts(request, lease.Finished)
		w.facts.Snapshots = []job.Snapshot{{Epoch: 5, CheckpointID: 7, Path: savepoint}}
		w.state = w.facts.Lease.State
		w.state.Generations = []lease.Generation{{Number: 3, Standing: lease.Retired}}
		w.run()
		return w
	}
	w := stopped(job.Request{Kind: job.Start})
	require.Equal(t, failure.Incompatible, w.progress(t).Failure.Code)
	require.Equal(t, []activities.ReadStateIn{{Path: savepoint}}, w.asked)
	require.Empty(t, w.submits)

	w = stopped(job.Request{Kind: job.Start, Stateless: true})
	require.NoError(t, w.env.GetWorkflowError())
	require.Empty(t, w.asked)
	require.Nil(t, w.progress(t).Plan.State)
	require.False(t, w.prepared.Operators)
}

// What can't be compared is said, and left to Flink: it refuses as well, only
// later.
func TestWhatCantBeComparedIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		graph  []agentapi.Operator
		stored activities.ReadStateOut
		err    error
		said   string
	}{
		"an agent of before":          {said: "the agent doesn't list operators"},
		"no snapshot yet":             {graph: newGraph, said: "no snapshot to compare with"},
		"a format of a later version": {graph: newGraph, err: failure.New(failure.Incompatible, "x has a format version that is not known"), said: "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newComparing(t, job.Request{Kind: job.Upgrade}, c.graph, c.stored, c.err)
			w.run()
			require.NoError(t, w.env.GetWorkflowError())
			require.Contains(t, w.progress(t).Plan.State.Unknown, c.said)
		})
	}
}
