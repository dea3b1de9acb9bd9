package scenario

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/sdk/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"sluice/internal/job"
	"sluice/testsuite/checker"
)

func (w *World) report() (checker.Report, error) {
	return checker.Check(context.Background(), w.files, checker.Options{Output: w.Output(), Trace: w.Trace()})
}

// Green is how every story ends: the job is stopped, every number from 0 to N
// is there exactly once. It gives the checker's report.
func (w *World) Green(versions ...string) checker.Report {
	w.T.Helper()
	return w.green(checker.Options{Output: w.Output(), Trace: w.Trace(), MinRecords: 100}, versions)
}

// GreenAfterRollback is Green where tasks ended without a savepoint (a submission
// was canceled, or rescaled in place): what they had not published yet stays
// behind for ever, and is counted in none of its files.
func (w *World) GreenAfterRollback(versions ...string) checker.Report {
	w.T.Helper()
	return w.green(checker.Options{Output: w.Output(), Trace: w.Trace(), MinRecords: 100, AllowUnfinished: true}, versions)
}

// GreenRepeated is GreenAfterRollback where what a version had published was to be
// published again, and was, and nothing else.
func (w *World) GreenRepeated(by string, versions ...string) checker.Report {
	w.T.Helper()
	return w.green(checker.Options{Output: w.Output(), Trace: w.Trace(), MinRecords: 100, AllowUnfinished: true, RepeatedBy: by}, versions)
}

// Report is what the checker sees now.
func (w *World) Report() checker.Report {
	w.T.Helper()
	report, err := w.report()
	require.NoError(w.T, err)
	return report
}

func (w *World) green(options checker.Options, versions []string) checker.Report {
	w.T.Helper()
	report, err := checker.Check(context.Background(), w.files, options)
	require.NoError(w.T, err)
	var text strings.Builder
	require.NoError(w.T, report.WriteText(&text))
	for _, line := range strings.Split(strings.TrimSpace(text.String()), "\n") {
		w.Say("%s", line)
	}
	require.True(w.T, report.OK(), report.Problems)
	seen := make([]string, 0, len(report.Versions))
	for _, v := range report.Versions {
		seen = append(seen, v.Version)
	}
	require.ElementsMatch(w.T, versions, seen, "versions in the output")
	w.record()
	return report
}

// History is all events of the job's operation, newest run first if id is "".
func (w *World) History(run string) []*history.HistoryEvent {
	w.T.Helper()
	var all []*history.HistoryEvent
	events := w.Temporal.GetWorkflowHistory(context.Background(), w.workflowID(), run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(w.T, err)
		all = append(all, event)
	}
	return all
}

// Incident is what befell a job, as the api shows it.
type Incident struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"`
	HeldBy     string `json:"heldBy"`
	What       string `json:"what"`
	Generation int    `json:"generation"`
	Epoch      int64  `json:"epoch"`
	ExitCode   int32  `json:"exitCode"`
	Operation  string `json:"operation"`
}

// Incident waits until the job shows one: its last.
func (w *World) Incident() Incident {
	w.T.Helper()
	var found struct {
		LastIncident Incident `json:"lastIncident"`
	}
	w.Until("an incident on record", time.Minute, func() bool {
		w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name, nil, &found)
		return found.LastIncident.ID != ""
	})
	w.Say("incident: %s", found.LastIncident.What)
	return found.LastIncident
}

// record keeps the histories for the replay tests, when SLUICE_RECORD names a
// directory.
func (w *World) record() {
	w.T.Helper()
	directory := os.Getenv("SLUICE_RECORD")
	if directory == "" {
		return
	}
	directory = filepath.Join(directory, strings.TrimPrefix(w.T.Name(), "TestScenario/"))
	require.NoError(w.T, os.MkdirAll(directory, 0o755))
	for i, r := range w.runs {
		data, err := protojson.Marshal(&history.History{Events: w.History(r.id)})
		require.NoError(w.T, err)
		require.NoError(w.T, os.WriteFile(filepath.Join(directory, fmt.Sprintf("%d-%s.json", i+1, r.kind)), data, 0o644))
	}
}

// UI reads what Temporal's UI shows of the job's newest operation: the current
// details (markdown) and the search attributes. The two come in two answers; it
// reads until both are of the same phase.
func (w *World) UI() (details string, attributes map[string]string) {
	w.T.Helper()
	before := w.searchAttributes()
	w.Until("details and search attributes of the same phase", time.Minute, func() bool {
		details = w.details()
		attributes = w.searchAttributes()
		same := maps.Equal(before, attributes)
		before = attributes
		return same
	})
	return details, attributes
}

func (w *World) details() string {
	w.T.Helper()
	value, err := w.Temporal.QueryWorkflow(context.Background(), w.workflowID(), "", "__temporal_workflow_metadata")
	require.NoError(w.T, err)
	var metadata sdk.WorkflowMetadata
	require.NoError(w.T, value.Get(&metadata))
	return metadata.GetCurrentDetails()
}

func (w *World) searchAttributes() map[string]string {
	w.T.Helper()
	described, err := w.Temporal.DescribeWorkflowExecution(context.Background(), w.workflowID(), "")
	require.NoError(w.T, err)
	attributes := map[string]string{}
	for name, payload := range described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields() {
		if strings.HasPrefix(name, "Sluice") {
			attributes[name] = strings.Trim(string(payload.GetData()), `"`)
		}
	}
	return attributes
}

func (w *World) workflowID() string { return job.Ref{Tenant: w.Tenant, Name: w.Name}.WorkflowID() }
