package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
)

type fixed agentapi.Endpoint

func (f fixed) Endpoint(job.Identity, int) (agentapi.Endpoint, error) {
	return agentapi.Endpoint(f), nil
}

// Every Def of the contract is registered under its name, and a command's
// progress becomes heartbeats.
func TestActivities(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := agentapi.Status{ID: "a", Phase: agentapi.Running, Version: 1, Progress: "waiting for slots"}
		if r.Method == http.MethodGet {
			status = agentapi.Status{ID: "a", Phase: agentapi.Done, Version: 2, Result: json.RawMessage(`{"registeredSlots":4}`)}
		}
		_ = json.NewEncoder(w).Encode(status)
	}))
	defer server.Close()
	var suite testsuite.WorkflowTestSuite
	environment := suite.NewTestActivityEnvironment()
	var mutex sync.Mutex
	var told []string
	environment.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		var progress Progress
		if details.Get(&progress) == nil {
			mutex.Lock()
			told = append(told, progress.Text)
			mutex.Unlock()
		}
	})
	New(agentapi.NewClient(nil), fixed{URL: server.URL}).Register(environment)

	in := activities.AgentIn{Generation: 2, Command: agentapi.Command{ID: "a", Kind: agentapi.Prepare, Generation: 2, Prepare: &agentapi.PrepareIn{}}}
	value, err := environment.ExecuteActivity(activities.PrepareCluster.Name, in)
	require.NoError(t, err)
	var out agentapi.PrepareOut
	require.NoError(t, value.Get(&out))
	require.Equal(t, 4, out.Registered)
	mutex.Lock()
	require.NotEmpty(t, told)
	mutex.Unlock()

	_, err = environment.ExecuteActivity(activities.StopJob.Name, in)
	require.ErrorContains(t, err, "was sent as", "a command goes to the activity of its kind")
}

func TestRegistersEveryDef(t *testing.T) {
	names := map[string]bool{}
	New(nil, nil).Register(recorder(names))
	for _, name := range []string{
		activities.AgentState.Name, activities.PrepareCluster.Name, activities.AcknowledgeHold.Name, activities.StopJob.Name,
		activities.TakeSavepoint.Name, activities.SubmitJob.Name, activities.AwaitRunning.Name, activities.TakeCheckpoint.Name, activities.SoakJob.Name,
		activities.CancelJob.Name, activities.CloseSubmission.Name, activities.RescaleJob.Name, activities.SpareWorkers.Name,
		activities.ReadTargets.Name,
	} {
		require.True(t, names[name], name)
	}
	require.Len(t, names, 14)
}

type recorder map[string]bool

func (r recorder) RegisterActivityWithOptions(_ any, options activity.RegisterOptions) {
	r[options.Name] = true
}

func TestFailureIsReturnedAsItWas(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(agentapi.Status{ID: "a", Phase: agentapi.Failed, Version: 1, Failure: failure.New(failure.Unproven, "gone")})
	}))
	defer server.Close()
	var suite testsuite.WorkflowTestSuite
	environment := suite.NewTestActivityEnvironment()
	a := New(agentapi.NewClient(nil), fixed{URL: server.URL})
	var seen error
	environment.RegisterActivityWithOptions(func(ctx context.Context) error {
		_, seen = command[agentapi.SoakOut](a, agentapi.Soak)(ctx, activities.AgentIn{Command: agentapi.Command{ID: "a", Kind: agentapi.Soak}})
		return nil
	}, activity.RegisterOptions{Name: "probe"})
	_, err := environment.ExecuteActivity("probe")
	require.NoError(t, err)
	require.Equal(t, failure.Unproven, failure.CodeOf(seen))
}
