package flink

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sluice/internal/failure"
)

// Overview of the cluster.
type Overview struct {
	Version      string `json:"flink-version"`
	TaskManagers int    `json:"taskmanagers"`
	SlotsTotal   int    `json:"slots-total"`
	SlotsFree    int    `json:"slots-available"`
}

// Overview asks for the cluster's slots.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var out Overview
	err := c.get(ctx, "/overview", &out)
	return out, err
}

// TaskManager is one that is registered.
type TaskManager struct {
	ID         string `json:"id"` // its resource id
	SlotsTotal int    `json:"slotsNumber"`
	SlotsFree  int    `json:"freeSlots"`
}

// TaskManagers asks for those that are registered.
func (c *Client) TaskManagers(ctx context.Context) ([]TaskManager, error) {
	var out struct {
		TaskManagers []TaskManager `json:"taskmanagers"`
	}
	err := c.get(ctx, "/taskmanagers", &out)
	return out.TaskManagers, err
}

// The states of a job that are its last.
const (
	Running    = "RUNNING"
	Restarting = "RESTARTING"
	Finished   = "FINISHED"
	Failed     = "FAILED"
	Canceled   = "CANCELED"
)

// Job is a job's state with its vertices.
type Job struct {
	ID       string   `json:"jid"`
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Vertices []Vertex `json:"vertices"`
	// Timestamps of the states, ms since 1970 by the JobManager's clock; 0: never.
	Timestamps map[string]int64 `json:"timestamps"`
}

// Terminal says whether the job's state is its last.
func (j Job) Terminal() bool {
	return j.State == Finished || j.State == Failed || j.State == Canceled
}

// Vertex of a running job.
type Vertex struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Parallelism int            `json:"parallelism"`
	Max         int            `json:"maxParallelism"` // above it Flink refuses; 0: not said
	Status      string         `json:"status"`
	Start       int64          `json:"start-time"`
	Tasks       map[string]int `json:"tasks"` // subtasks by state
}

// Job reads a job; failure.NotFound is this JobManager's word, no more: another
// one may have run it.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var out Job
	err := c.get(ctx, "/jobs/"+id, &out)
	return out, err
}

// RunningSince is when the last subtask of a vertex began to run: ms since 1970
// by the JobManager's clock.
func (c *Client) RunningSince(ctx context.Context, id, vertex string) (int64, error) {
	var out struct {
		Subtasks []struct {
			Timestamps map[string]int64 `json:"timestamps"`
		} `json:"subtasks"`
	}
	err := c.get(ctx, "/jobs/"+id+"/vertices/"+vertex+"/subtasktimes", &out)
	var since int64
	for _, subtask := range out.Subtasks {
		since = max(since, subtask.Timestamps[Running])
	}
	return since, err
}

// Targets are the parallelisms that the adaptive scheduler is to reach, by
// vertex; nil where the default scheduler runs (it knows one parallelism only
// and answers with an error).
func (c *Client) Targets(ctx context.Context, id string) (map[string]int, error) {
	var out map[string]requirement
	err := c.get(ctx, "/jobs/"+id+"/resource-requirements", &out)
	if err != nil {
		if a := answerIn(err); a != nil && a.has("UnsupportedOperationException") {
			return nil, nil
		}
		return nil, unknownJob(err)
	}
	targets := make(map[string]int, len(out))
	for vertex, requirement := range out {
		targets[vertex] = requirement.Parallelism.Upper
	}
	return targets, nil
}

// requirement is what the adaptive scheduler knows of one vertex.
type requirement struct {
	Parallelism struct {
		Lower int `json:"lowerBound"`
		Upper int `json:"upperBound"`
	} `json:"parallelism"`
}

// Rescale tells the adaptive scheduler other parallelisms, all vertices' at once;
// the same again changes nothing. Flink takes fewer slots than it needs without a
// word: look at what the job then runs at.
func (c *Client) Rescale(ctx context.Context, id string, targets map[string]int) error {
	body := make(map[string]requirement, len(targets))
	for vertex, parallelism := range targets {
		var r requirement
		r.Parallelism.Lower, r.Parallelism.Upper = 1, parallelism
		body[vertex] = r
	}
	return unknownJob(c.do(ctx, call{
		kind: effect, method: http.MethodPut, path: "/jobs/" + id + "/resource-requirements", body: body, timeout: readTimeout,
	}, nil))
}

// unknownJob makes NotFound of the 500 by which this resource says that.
func unknownJob(err error) error {
	if a := answerIn(err); a != nil && a.has("FlinkJobNotFoundException") {
		return failure.Wrap(failure.NotFound, err, "the JobManager doesn't know the job")
	}
	return err
}

// Restarts counts the job's restarts so far.
func (c *Client) Restarts(ctx context.Context, id string) (int64, error) {
	var out []struct {
		Value string `json:"value"`
	}
	err := c.do(ctx, call{
		kind: read, method: http.MethodGet, path: "/jobs/" + id + "/metrics",
		query: url.Values{"get": {"numRestarts"}}, timeout: readTimeout,
	}, &out)
	if err != nil {
		return 0, err
	}
	if len(out) == 0 { // the metric fetcher has not run yet
		return 0, failure.New(failure.Unavailable, "Flink has no count of restarts yet")
	}
	count, err := strconv.ParseFloat(out[0].Value, 64)
	if err != nil {
		return 0, failure.Wrap(failure.Unavailable, err, "Flink's count of restarts can't be read")
	}
	return int64(count), nil
}

// Exception is the root cause of the job's last failure; "" when it had none.
// While a job restarts, only its history has it; Flink 2.x has no other place than
// that, and a job that failed before it ran (its snapshot can't be restored) isn't
// in it: then only the job's result has it.
func (c *Client) Exception(ctx context.Context, id string) (string, error) {
	var out struct {
		Root    string `json:"root-exception"`
		History struct {
			Entries []struct {
				Trace string `json:"stacktrace"`
			} `json:"entries"`
		} `json:"exceptionHistory"`
	}
	err := c.get(ctx, "/jobs/"+id+"/exceptions", &out)
	if out.Root == "" && len(out.History.Entries) > 0 {
		out.Root = out.History.Entries[0].Trace
	}
	if err == nil && out.Root == "" {
		out.Root, err = c.resultFailure(ctx, id)
	}
	return RootCause(out.Root), err
}

// resultFailure is why the job failed; "" while it runs.
func (c *Client) resultFailure(ctx context.Context, id string) (string, error) {
	var out struct {
		Result struct {
			Failure *thrown `json:"failure-cause"`
		} `json:"job-execution-result"`
	}
	err := c.get(ctx, "/jobs/"+id+"/execution-result", &out)
	if out.Result.Failure == nil {
		return "", err
	}
	return out.Result.Failure.Trace, err
}

// Cancel cancels the job.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.do(ctx, call{
		kind: effect, method: http.MethodPatch, path: "/jobs/" + id,
		query: url.Values{"mode": {"cancel"}}, timeout: readTimeout,
	}, nil)
}

// SamePath compares two locations of a snapshot as Flink may spell them.
func SamePath(a, b string) bool { return normal(a) == normal(b) }

func normal(location string) string {
	scheme, rest, ok := strings.Cut(location, ":")
	if !ok {
		return strings.TrimRight(location, "/")
	}
	for strings.Contains(rest, "///") {
		rest = strings.ReplaceAll(rest, "///", "/") // file:///a is file:/a
	}
	return scheme + ":" + strings.TrimRight(rest, "/")
}
