package scenario

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"sluice/internal/job"
	"sluice/testsuite/faults"
	"sluice/workflows/upgrade"
)

// Accepted is the answer to a started operation.
type Accepted struct {
	Operation string `json:"operation"`
	Links     struct {
		Self       string `json:"self"`
		TemporalUI string `json:"temporalUI"`
	} `json:"links"`
}

// Operation is one as the api shows it.
type Operation struct {
	Operation string           `json:"operation"`
	Phase     job.Phase        `json:"phase"`
	Final     bool             `json:"final"`
	Progress  upgrade.Progress `json:"progress"`
}

// Request is an operation's body; stories soak for a second only.
func Request(kind job.Kind) job.Request {
	if !kind.Submits() {
		return job.Request{Kind: kind}
	}
	second := 1
	request := job.Request{Kind: kind, SoakSeconds: &second}
	if kind == job.Start {
		request.Profile = Small.Name
	}
	return request
}

// Begin starts an operation and doesn't wait.
func (w *World) Begin(request job.Request, header ...string) Accepted {
	w.T.Helper()
	var accepted Accepted
	w.Want(http.StatusAccepted, http.MethodPost, "/jobs/"+w.Name+"/operations", request, &accepted, header...)
	w.last = accepted.Operation
	if r := (run{path.Base(accepted.Links.TemporalUI), request.Kind}); accepted.Links.TemporalUI != "" && !slices.Contains(w.runs, r) {
		w.runs = append(w.runs, r)
	}
	w.Say("%s began: operation %s", request.Kind, accepted.Operation)
	return accepted
}

// Operation reads one.
func (w *World) Operation(id string) Operation {
	w.T.Helper()
	var o Operation
	w.Want(http.StatusOK, http.MethodGet, "/operations/"+id, nil, &o)
	return o
}

// Wait waits for an operation's end or for its question, by long polls.
func (w *World) Wait(id string) Operation {
	w.T.Helper()
	return w.WaitPast(id, 0)
}

// WaitPast is Wait for something newer than a version.
func (w *World) WaitPast(id string, version int64) Operation {
	w.T.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	var o Operation
	for ; time.Now().Before(deadline); version = o.Progress.Version {
		o = Operation{} // a field that an answer lacks must not be the last one's
		w.Want(http.StatusOK, http.MethodGet, fmt.Sprintf("/operations/%s?wait=10s&version=%d", id, version), nil, &o)
		if o.Final || o.Phase == job.Waiting && o.Progress.Version > version {
			return o
		}
	}
	require.FailNow(w.T, "the operation goes on for 5 minutes", "%+v", o.Progress)
	return o
}

// Run starts an operation and requires that it commits.
func (w *World) Run(request job.Request) Operation {
	w.T.Helper()
	o := w.Wait(w.Begin(request).Operation)
	require.Equal(w.T, job.Committed, o.Phase, "failure: %+v, evidence: %v", o.Progress.Failure, o.Progress.Evidence)
	w.Say("%s committed: %s", request.Kind, timeline(o.Progress))
	return o
}

// Running is how most stories begin: a version that was started and has published.
func (w *World) Running(v Version) {
	w.T.Helper()
	w.RunningAs(v, Small)
}

// RunningAs is Running with a profile of the story's own.
func (w *World) RunningAs(v Version, profile job.Profile) {
	w.T.Helper()
	w.Apply(v)
	start := Request(job.Start)
	start.Profile = profile.Name
	w.Run(start)
	w.Records(300)
}

// RollsBack starts an upgrade and requires that the old revision runs again.
func (w *World) RollsBack(request job.Request) Operation {
	w.T.Helper()
	return w.RolledBack(w.Wait(w.Begin(request).Operation))
}

// RolledBack is its end.
func (w *World) RolledBack(o Operation) Operation {
	w.T.Helper()
	require.Equal(w.T, job.Failed, o.Phase, "%+v", o.Progress)
	require.NotNil(w.T, o.Progress.Rollback, "%+v", o.Progress)
	w.Say("rolled back to %s: %s", o.Progress.Rollback.RestorePath, timeline(o.Progress))
	return o
}

// Fails starts an operation and requires that it fails with the job as it was.
func (w *World) Fails(request job.Request) Operation {
	w.T.Helper()
	o := w.Wait(w.Begin(request).Operation)
	require.Equal(w.T, job.Failed, o.Phase, "%+v", o.Progress)
	w.Say("%s failed, as it should: %s", request.Kind, o.Progress.Failure.Message)
	return o
}

func timeline(p upgrade.Progress) string {
	parts := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		parts = append(parts, fmt.Sprintf("%s %d ms", s.Name, s.DurationMS))
	}
	if p.DowntimeMS > 0 {
		parts = append(parts, fmt.Sprintf("downtime %d ms", p.DowntimeMS))
	}
	return strings.Join(parts, ", ")
}

// AfterActivity waits until an activity of the running operation completed.
func (w *World) AfterActivity(name string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	require.NoError(w.T, faults.AfterActivity(ctx, w.Temporal, w.workflowID(), name))
}

// Underway says whether an activity of the running operation is with a worker.
func (w *World) Underway(name string) bool {
	w.T.Helper()
	described, err := w.Temporal.DescribeWorkflowExecution(context.Background(), w.workflowID(), "")
	require.NoError(w.T, err)
	return slices.ContainsFunc(described.GetPendingActivities(), func(a *workflowpb.PendingActivityInfo) bool {
		return a.GetActivityType().GetName() == name && a.GetState() == enums.PENDING_ACTIVITY_STATE_STARTED
	})
}

// Terminate ends the run of the job's operation as a person may in Temporal's UI:
// it undoes nothing.
func (w *World) Terminate() {
	w.T.Helper()
	require.NoError(w.T, w.Temporal.TerminateWorkflow(context.Background(), w.workflowID(), "", "a person did it"))
	w.Say("the run is terminated in Temporal")
}

// Processes finds the processes of pods.
func (w *World) Processes(namespace, selector string) []int {
	w.T.Helper()
	pids, err := faults.Processes(context.Background(), w.Kube, namespace, selector)
	require.NoError(w.T, err)
	return pids
}

// Kill is kill -9.
func (w *World) Kill(pids []int) {
	w.T.Helper()
	require.NoError(w.T, faults.Kill(pids))
	w.Say("kill -9 of %v", pids)
}

// CaughtUp waits until the job has published all that it had processed by now: a
// killed submission's lines are processed again, and a stop before that would leave
// the rest to the next start.
func (w *World) CaughtUp() {
	w.T.Helper()
	processed := int64(-1)
	w.UntilRead("the job has caught up", 3*time.Minute, func() bool {
		report, err := w.report()
		if err != nil || report.Trace == nil {
			return false
		}
		if processed < 0 {
			for _, s := range report.Trace.Submissions {
				processed = max(processed, s.Highest)
			}
		}
		return report.Highest >= processed
	})
}

// Records waits until the output on HDFS holds that many committed records.
func (w *World) Records(atLeast int64) {
	w.T.Helper()
	w.UntilRead(fmt.Sprintf("%d committed records", atLeast), 2*time.Minute, func() bool {
		report, err := w.report()
		return err == nil && report.Records >= atLeast
	})
}

// Newest is the job's newest operation.
func (w *World) Newest() string {
	w.T.Helper()
	var list struct {
		Items []Operation `json:"items"`
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name+"/operations?limit=1", nil, &list)
	require.Len(w.T, list.Items, 1)
	return list.Items[0].Operation
}

// Happened says whether an activity of the newest operation completed.
func (w *World) Happened(name string) bool {
	w.T.Helper()
	happened, err := faults.Completed(context.Background(), w.Temporal, w.workflowID(), name)
	require.NoError(w.T, err)
	return happened
}

// Decide says what a waiting operation shall do, and waits for what comes of it.
func (w *World) Decide(o Operation, option string) Operation {
	w.T.Helper()
	w.Want(http.StatusAccepted, http.MethodPost, "/operations/"+o.Operation+"/decide", map[string]string{"option": option, "reason": "known"}, nil)
	return w.WaitPast(o.Operation, o.Progress.Version)
}

// AllPublished waits until all that any submission had read by now is published:
// a job that was canceled or killed had read more than it published.
func (w *World) AllPublished() {
	w.T.Helper()
	read := int64(0)
	for _, s := range w.Report().Trace.Submissions {
		read = max(read, s.Highest)
	}
	w.UntilRead(fmt.Sprintf("number %d is published", read), 2*time.Minute, func() bool {
		report, err := w.report()
		return err == nil && report.Highest >= read
	})
}
