//go:build scenario

package scenario_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"

	"sluice/activities"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// asksAndRetries: behind the point of no return nothing is given up. The first
// submission fails for a reason that can be mended, and there is nothing to go
// back to; the operation waits with its evidence, Temporal's UI says so, and
// retry goes on from where it stood.
func asksAndRetries(t *testing.T) {
	w := Given(t, "faults")
	w.Apply(V1)
	accepted := w.Begin(Request(job.Start))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(1, "submit-job", "before", "refuse")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, o.Phase, "%+v", o.Progress)
	require.True(t, o.Progress.Retryable)
	require.NotEmpty(t, o.Progress.Evidence)

	details, attributes := w.UI()
	require.Contains(t, details, "Waiting for: a person's decision: retry or give-up or supersede (since 20")
	require.Contains(t, details, "Why: ")
	require.Contains(t, details, "sluice op retry "+accepted.Operation)
	require.Equal(t, string(job.Waiting), attributes["SluicePhase"])
	refused := w.Call(http.MethodPost, "/operations/"+accepted.Operation+"/cancel", map[string]string{"reason": "too late"})
	require.Equal(t, http.StatusConflict, refused.Status, string(refused.Body))

	w.Want(http.StatusAccepted, http.MethodPost, "/operations/"+accepted.Operation+"/retry", map[string]string{"reason": "mended"}, nil)
	o = w.WaitPast(accepted.Operation, o.Progress.Version)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	w.Records(300)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

// storyInTheUI: whoever opens Temporal's UI during an upgrade reads what it is,
// where it stands and what it waits for since when, in every step; and can
// search for it.
func storyInTheUI(t *testing.T) {
	w := Given(t, "faults")
	w.Running(V1)
	w.Apply(V2)
	// These phases last a few hundred ms: they are held until they have been read.
	w.ArmAgent(1, "stop-with-savepoint", "before", "hold")
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(2, "submit-job", "before", "hold")
	seen := map[string]string{} // phase → details
	w.Until("the operation's end", 3*time.Minute, func() bool {
		details, attributes := w.UI()
		phase := attributes["SluicePhase"]
		if _, again := seen[phase]; !again && phase == string(job.Stopping) {
			w.ArmAgent(1, "stop-with-savepoint", "before", "release")
		} else if !again && phase == string(job.Submitting) {
			w.ArmAgent(2, "submit-job", "before", "release")
		}
		seen[phase] = details
		require.Equal(t, map[string]string{
			"SluiceTenant": "faults", "SluiceJob": w.Name, "SluiceSite": "dc1", "SluiceOperation": accepted.Operation, "SluiceKind": "upgrade",
		}, without(attributes, "SluicePhase", "SluiceRevision"))
		return phase == string(job.Committed)
	})
	for _, phase := range []job.Phase{job.Preparing, job.Stopping, job.Submitting, job.Proving} {
		require.Contains(t, seen[string(phase)], "Waiting for: ", phase)
		require.Contains(t, seen[string(phase)], "(since 20", phase)
	}
	_, attributes := w.UI()
	require.Equal(t, "2", attributes["SluiceRevision"])

	described, err := w.Temporal.DescribeWorkflow(context.Background(), job.Ref{Tenant: "faults", Name: w.Name}.WorkflowID(), "")
	require.NoError(t, err)
	summary, err := described.GetStaticSummary()
	require.NoError(t, err)
	require.Contains(t, summary, "upgrade")
	require.Contains(t, summary, w.Name)
	requireSummaries(t, w.History(""))

	o := w.Operation(accepted.Operation)
	for _, step := range []string{"plan", "reserve", "apply", "pods", "prepare", "hold", "stop", "verify", "move", "submit", "run", "checkpoint", "soak", "commit"} {
		require.Contains(t, names(o.Progress), step)
		require.Contains(t, seen[string(job.Committed)], "- "+step+": done")
	}
	w.Records(900)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}

func names(p upgrade.Progress) []string {
	all := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		all = append(all, s.Name)
	}
	return all
}

func without(all map[string]string, keys ...string) map[string]string {
	all = maps.Clone(all)
	for _, k := range keys {
		delete(all, k)
	}
	return all
}

// requireSummaries: every activity says in one line what it is for.
func requireSummaries(t *testing.T, events []*history.HistoryEvent) {
	t.Helper()
	for _, e := range events {
		scheduled := e.GetActivityTaskScheduledEventAttributes()
		if scheduled == nil {
			continue
		}
		var summary string
		require.NoError(t, converter.GetDefaultDataConverter().FromPayload(e.GetUserMetadata().GetSummary(), &summary), scheduled.ActivityType.Name)
		require.NotEmpty(t, strings.TrimSpace(summary), scheduled.ActivityType.Name)
	}
}
