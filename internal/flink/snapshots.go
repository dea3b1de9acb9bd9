package flink

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"sluice/internal/failure"
)

func answerIn(err error) *AnswerError {
	var a *AnswerError
	errors.As(err, &a)
	return a
}

// SavepointRequest is one try of a savepoint.
type SavepointRequest struct {
	TriggerID string // a repeat with the same one makes no second savepoint
	Directory string
	Format    string // NATIVE or CANONICAL
}

// Stop asks for stop-with-savepoint, never draining. Flink takes it for any job
// id, also for one that it doesn't know or that ended: the operation's end says.
func (c *Client) Stop(ctx context.Context, id string, in SavepointRequest) error {
	return c.do(ctx, call{
		kind: effect, method: http.MethodPost, path: "/jobs/" + id + "/stop", timeout: effectTimeout,
		body: map[string]any{"triggerId": in.TriggerID, "targetDirectory": in.Directory, "formatType": in.Format, "drain": false},
	}, nil)
}

// Savepoint asks for a savepoint; the job runs on.
func (c *Client) Savepoint(ctx context.Context, id string, in SavepointRequest) error {
	return c.do(ctx, call{
		kind: effect, method: http.MethodPost, path: "/jobs/" + id + "/savepoints", timeout: effectTimeout,
		body: map[string]any{"triggerId": in.TriggerID, "target-directory": in.Directory, "formatType": in.Format, "cancel-job": false},
	}, nil)
}

// Operation is a savepoint's state.
type Operation struct {
	Completed bool
	Location  string // of the savepoint, when there is one
	Cause     string // why it failed; with a Location: the job failed after its savepoint
	JobGone   bool   // the cause is that Flink doesn't run the job (any more)
}

// operationStatus is Flink's asynchronous operation; the two kinds spell the
// failure differently.
type operationStatus struct {
	Status struct {
		ID string `json:"id"`
	} `json:"status"`
	Operation struct {
		Location     string  `json:"location"`
		CheckpointID int64   `json:"checkpointId"`
		Failure      *thrown `json:"failure-cause"`
		Cause        *thrown `json:"failureCause"`
	} `json:"operation"`
}

// savedAnyway is the text of StopWithSavepointStoppingException: the savepoint is
// complete, the job failed after it.
var savedAnyway = regexp.MustCompile(`savepoint has been created at: (\S+), but`)

type thrown struct {
	Class string `json:"class"`
	Trace string `json:"stack-trace"`
}

func (o operationStatus) read() Operation {
	out := Operation{Completed: o.Status.ID == "COMPLETED", Location: o.Operation.Location}
	for _, t := range []*thrown{o.Operation.Failure, o.Operation.Cause} {
		if t != nil {
			answer := &AnswerError{Text: t.Trace}
			out.Cause, out.JobGone = RootCause(t.Trace), answer.has("FlinkJobNotFoundException", "UnavailableDispatcherOperationException")
			if out.Cause == "" {
				out.Cause = t.Class
			}
			if found := savedAnyway.FindStringSubmatch(t.Trace); found != nil {
				out.Location = found[1]
			}
		}
	}
	return out
}

// SavepointStatus reads the operation of a trigger, of Stop too. NotFound: this
// JobManager doesn't know the trigger; that proves nothing about the savepoint.
func (c *Client) SavepointStatus(ctx context.Context, id, trigger string) (Operation, error) {
	var out operationStatus
	err := c.get(ctx, "/jobs/"+id+"/savepoints/"+trigger, &out)
	return out.read(), err
}

// Checkpoint triggers a checkpoint as the job is configured to take them.
func (c *Client) Checkpoint(ctx context.Context, id, trigger string) error {
	return c.do(ctx, call{
		kind: effect, method: http.MethodPost, path: "/jobs/" + id + "/checkpoints", timeout: effectTimeout,
		body: map[string]any{"triggerId": trigger, "checkpointType": "CONFIGURED"},
	}, nil)
}

// CheckpointStatus reads the operation of a trigger and the checkpoint's id.
func (c *Client) CheckpointStatus(ctx context.Context, id, trigger string) (Operation, int64, error) {
	var out operationStatus
	err := c.get(ctx, "/jobs/"+id+"/checkpoints/"+trigger, &out)
	return out.read(), out.Operation.CheckpointID, err
}

// Checkpoints is what a job restored and completed.
type Checkpoints struct {
	RestoredPath string // "" when it started empty
	RestoredID   int64
	CompletedID  int64 // the newest; 0 when none
	External     string
	Completed    int64 // how many
	Restored     int64 // how often: once more with each restart from a checkpoint
}

type checkpoint struct {
	ID       int64  `json:"id"`
	External string `json:"external_path"`
}

// Checkpoints reads them; failure.NotFound when the job is not known.
func (c *Client) Checkpoints(ctx context.Context, id string) (Checkpoints, error) {
	var out struct {
		Counts struct {
			Completed int64 `json:"completed"`
			Restored  int64 `json:"restored"`
		} `json:"counts"`
		Latest struct {
			Completed *checkpoint `json:"completed"`
			Restored  *checkpoint `json:"restored"`
		} `json:"latest"`
	}
	err := c.get(ctx, "/jobs/"+id+"/checkpoints", &out)
	found := Checkpoints{Completed: out.Counts.Completed, Restored: out.Counts.Restored}
	if r := out.Latest.Restored; r != nil {
		found.RestoredPath, found.RestoredID = r.External, r.ID
	}
	if l := out.Latest.Completed; l != nil {
		found.CompletedID, found.External = l.ID, l.External
	}
	return found, err
}

// CheckpointPath is the external path of one checkpoint.
func (c *Client) CheckpointPath(ctx context.Context, id string, checkpointID int64) (string, error) {
	var out checkpoint
	err := c.get(ctx, "/jobs/"+id+"/checkpoints/details/"+strconv.FormatInt(checkpointID, 10), &out)
	return out.External, err
}

// CheckpointConfig is how a job really takes checkpoints, whatever its main
// overrode.
type CheckpointConfig struct {
	Enabled  bool
	Retained bool   // externalized and kept on cancellation
	Mode     string // exactly_once, at_least_once
}

// CheckpointConfig reads it. A job without checkpoints is Enabled false.
func (c *Client) CheckpointConfig(ctx context.Context, id string) (CheckpointConfig, error) {
	var out struct {
		Mode            string `json:"mode"`
		Interval        int64  `json:"interval"`
		Externalization struct {
			Enabled bool `json:"enabled"`
			Delete  bool `json:"delete_on_cancellation"`
		} `json:"externalization"`
	}
	err := c.get(ctx, "/jobs/"+id+"/checkpoints/config", &out)
	if failure.CodeOf(err) == failure.NotFound && answerIn(err).has("ot enabled") {
		return CheckpointConfig{}, nil
	}
	const never = 1 << 62 // Flink shows "no interval" as Long.MAX_VALUE
	return CheckpointConfig{
		Enabled:  err == nil && out.Interval > 0 && out.Interval < never,
		Retained: out.Externalization.Enabled && !out.Externalization.Delete,
		Mode:     out.Mode,
	}, err
}
