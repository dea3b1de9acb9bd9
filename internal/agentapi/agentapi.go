// Package agentapi is what worker and agent say to each other: commands with
// an id that the caller chose, put again as often as needed, and their state,
// waited for by long polls. It holds wire types and the client; it must not
// import a server, Flink or Kubernetes.
//
//	PUT /v1/commands/{id}            body Command → 200 Status; same id and body: a repeat, harmless;
//	                                 same id, other body: 409
//	GET /v1/commands/{id}?wait=20s&version=N   → 200 Status as soon as its version is > N or the wait is over;
//	                                 404: this agent process doesn't know it (it restarted): put it again
//	GET /v1/state                    → 200 State
//	GET /v1/flink/{path}             → Flink's own answer, for people (package look)
//
// Every answer carries its Protocol in the header ProtocolHeader (protocol.go).
// Mutual TLS under the platform's authority: the agent lets the worker in, and the
// api for LookPath alone; the caller sees by the certificate that it is that generation's agent. Every request
// names the job's uid (JobHeader); an agent of another job answers 409.
// Errors are application/problem+json, the body of package failure/problem.
package agentapi

import (
	"encoding/json"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Port is the agent's port.
const Port = 8480

// LookPath is what stands before Flink's own path in a read-only look.
const LookPath = "/v1/flink"

// MetricsPort is that of its metrics.
const MetricsPort = 9466

// Kind names a command.
type Kind string

// The commands.
const (
	Prepare     Kind = "prepare"     // fetch, verify, upload, job graph, prime
	Acknowledge Kind = "acknowledge" // note on the Lease that the hold is seen and nothing is in flight
	Stop        Kind = "stop"        // stop-with-savepoint, until Flink's answer is final
	Savepoint   Kind = "savepoint"   // savepoint, the job runs on
	Submit      Kind = "submit"      // intent on the Lease, then the POST
	Cancel      Kind = "cancel"      // cancel with retention, until the job is terminal
	Close       Kind = "close"       // bring a submission whose outcome is unknown, and that isn't wanted any more, to an end
	Await       Kind = "await"       // every vertex RUNNING at its parallelism, restored path as intended
	Checkpoint  Kind = "checkpoint"  // trigger a checkpoint and wait for it (the gate's first half)
	Soak        Kind = "soak"        // no restart for a while (its second half)
	Targets     Kind = "targets"     // what each vertex runs at, and would at another parallelism
	Rescale     Kind = "rescale"     // another parallelism for the running job, as noted on the Lease
	Spare       Kind = "spare"       // wait until TaskManagers have nothing to do, and name them
)

// Command is one piece of work. Exactly the field of its kind is set.
type Command struct {
	ID         string `json:"id"`
	Kind       Kind   `json:"kind"`
	Operation  string `json:"operation"`
	Generation int    `json:"generation"` // refused by an agent of another one
	Epoch      int64  `json:"epoch"`      // the epoch that the caller believes current; an older one is refused

	Prepare    *PrepareIn    `json:"prepare,omitempty"`
	Stop       *StopIn       `json:"stop,omitempty"`
	Savepoint  *SavepointIn  `json:"savepoint,omitempty"`
	Submit     *SubmitIn     `json:"submit,omitempty"`
	Cancel     *CancelIn     `json:"cancel,omitempty"`
	Close      *CloseIn      `json:"close,omitempty"`
	Await      *AwaitIn      `json:"await,omitempty"`
	Checkpoint *CheckpointIn `json:"checkpoint,omitempty"`
	Soak       *SoakIn       `json:"soak,omitempty"`
	Targets    *TargetsIn    `json:"targets,omitempty"`
	Rescale    *RescaleIn    `json:"rescale,omitempty"`
	Spare      *SpareIn      `json:"spare,omitempty"`
}

// Phase of a command.
type Phase string

// Running until done (Result set) or failed (Failure set).
const (
	Running Phase = "running"
	Done    Phase = "done"
	Failed  Phase = "failed"
)

// Status is what is known of a command.
type Status struct {
	ID       string          `json:"id"`
	Phase    Phase           `json:"phase"`
	Version  int64           `json:"version"`            // goes up with every change
	Progress string          `json:"progress,omitempty"` // for people: "uploading 12 of 40 MiB"
	Result   json.RawMessage `json:"result,omitempty"`   // the kind's Out
	Failure  *failure.Error  `json:"failure,omitempty"`
}

// PrepareIn makes a fresh cluster ready to take the job.
type PrepareIn struct {
	Slots       int      `json:"slots"` // wait for that many registered slots before priming; 0: JobManager only (cold)
	Spec        job.Spec `json:"spec"`
	Parallelism int      `json:"parallelism"`
	Prime       bool     `json:"prime"` // run the primer with all slots and wait until it is terminal and all slots free
	Try         int      `json:"try"`
	Tenant      string   `json:"tenant"`
	Operators   bool     `json:"operators,omitempty"` // list the job graph's operators
}

// PrepareOut is what a prepared cluster knows.
type PrepareOut struct {
	Vertices    []Vertex         `json:"vertices"`  // the job graph
	Durations   map[string]int64 `json:"durations"` // ms by part: jobmanager, slots, fetch, upload, plan, primer
	ArtifactLen int64            `json:"artifactLength"`
	Registered  int              `json:"registeredSlots"`
	// Operators of the job graph, all of them, where they were asked for and can be
	// told; else OperatorsUnknown says why not. Agents of before have neither.
	Operators        []Operator `json:"operators,omitempty"`
	OperatorsUnknown string     `json:"operatorsUnknown,omitempty"`
}

// Vertex is one vertex of a job graph or of a running job.
type Vertex struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Parallelism int    `json:"parallelism"`
	Status      string `json:"status,omitempty"`
}

// AcknowledgeOut says who acknowledged.
type AcknowledgeOut struct {
	PodUID string `json:"podUID"`
}

// StopIn is a stop-with-savepoint; the ids were decided by the flow.
type StopIn struct {
	FlinkJobID string `json:"flinkJobId"`
	TriggerID  string `json:"triggerId"`
	Directory  string `json:"directory"` // the try's own, hdfs://…
	Format     string `json:"format"`    // NATIVE or CANONICAL
}

// StopOut is Flink's final answer: the two columns of the stop table. Neither
// is concluded from a 404 or a time-out: those end in failure.Unknown.
type StopOut struct {
	Savepoint   string `json:"savepoint"` // hdfs://… or "" (none: FailureCause says why)
	JobState    string `json:"jobState"`  // FINISHED, RUNNING, FAILED, CANCELED, …
	Cause       string `json:"cause,omitempty"`
	SavepointMS int64  `json:"savepointMs"` // trigger → completed
	TerminalMS  int64  `json:"terminalMs"`  // trigger → job terminal (or last look)
}

// SavepointIn triggers a savepoint and lets the job run on.
type SavepointIn = StopIn

// SavepointOut is its result.
type SavepointOut = StopOut

// SubmitIn is one submission.
type SubmitIn struct {
	Epoch       int64    `json:"epoch"` // of the intent: the Lease's epoch + 1 at the first try
	FlinkJobID  string   `json:"flinkJobId"`
	RestorePath string   `json:"restorePath,omitempty"` // "" : stateless
	Spec        job.Spec `json:"spec"`
	Parallelism int      `json:"parallelism"` // 0: the generation's own
	Tenant      string   `json:"tenant"`
	// AllowStateLoss lets Flink leave state behind that no operator takes.
	AllowStateLoss bool `json:"allowStateLoss,omitempty"`
}

// CancelIn cancels the Lease's submission; its checkpoints stay.
type CancelIn struct {
	FlinkJobID string `json:"flinkJobId"`
}

// CancelOut is how the job ended: CANCELED, or faster FAILED or FINISHED.
type CancelOut struct {
	JobState string `json:"jobState"`
}

// CloseIn names a submission whose POST may have arrived, may still arrive, and
// isn't wanted any more.
type CloseIn struct {
	Epoch      int64  `json:"epoch"`
	FlinkJobID string `json:"flinkJobId"`
}

// CloseOut is what the submission is now: closed (it can never run), accepted
// (it runs: cancel it), or Flink's terminal state.
type CloseOut struct {
	Outcome string `json:"outcome"`
}

// SubmitOut says how the POST ended.
type SubmitOut struct {
	FlinkJobID string `json:"flinkJobId"`
	Duplicate  bool   `json:"duplicate"` // Flink had it already: an earlier try's POST had arrived
	PostMS     int64  `json:"postMs"`
}

// AwaitIn waits for the submission to run as intended.
type AwaitIn struct {
	FlinkJobID  string `json:"flinkJobId"`
	RestorePath string `json:"restorePath,omitempty"`
	Parallelism int    `json:"parallelism"` // 0: the generation's own
}

// AwaitOut is the proof.
type AwaitOut struct {
	RestoredPath string   `json:"restoredPath,omitempty"`
	Vertices     []Vertex `json:"vertices"`
	RunningAt    int64    `json:"runningAt"` // ms since 1970, the last vertex's RUNNING by the JobManager's clock
	Traces       Traces   `json:"traces,omitzero"`
}

// Traces are what a restart of a job changes for good. Times are ms since 1970 by
// the JobManager's clock.
type Traces struct {
	Running    int64 `json:"running"`    // when the job last began to run
	Restarting int64 `json:"restarting"` // or to restart; 0: never
	Started    int64 `json:"started"`    // sum of its vertices' starts
	Restored   int64 `json:"restored"`   // how often it restored a snapshot
}

// CheckpointIn triggers one checkpoint.
type CheckpointIn struct {
	FlinkJobID string `json:"flinkJobId"`
	TriggerID  string `json:"triggerId"`
	Directory  string `json:"directory"` // the job's checkpoint directory: external_path must lie below <directory>/<FlinkJobID>
}

// CheckpointOut is the completed checkpoint; Disabled for jobs without checkpoints.
type CheckpointOut struct {
	Disabled     bool   `json:"disabled"`
	CheckpointID int64  `json:"checkpointId"`
	ExternalPath string `json:"externalPath"`
}

// SoakIn watches for restarts since the job was seen to run: a soak that is begun
// anew, after its answer was lost, must not take a restart for the beginning.
// Without Since (only in histories from before it was there) it begins now.
type SoakIn struct {
	FlinkJobID string `json:"flinkJobId"`
	Seconds    int    `json:"seconds"`
	Since      Traces `json:"since,omitzero"` // AwaitOut.Traces
}

// SoakOut is a quiet soak; a restart or failure ends the command in failure.JobFailed.
type SoakOut struct {
	Restarts int64 `json:"restarts"`
}

// TargetsIn asks what the running job's vertices would run at, were its program
// submitted with another parallelism. Nothing is changed by it.
type TargetsIn struct {
	FlinkJobID  string   `json:"flinkJobId"`
	Spec        job.Spec `json:"spec"` // what runs
	Parallelism int      `json:"parallelism"`
	Tenant      string   `json:"tenant"`
}

// TargetsOut has the parallelisms of all vertices, by id: what Flink is to reach
// Before, and what the program's job graph says of the other parallelism (After).
type TargetsOut struct {
	Before  map[string]int `json:"before"`
	After   map[string]int `json:"after"`
	Changed int            `json:"changed"` // vertices whose parallelism differs; the others are the program's own choice
}

// RescaleIn asks for the parallelism that the Lease's size names: Targets has that
// of each vertex. Without them (an operation that began before there were any) the
// vertices that run at From change, and those that don't keep theirs.
type RescaleIn struct {
	FlinkJobID string         `json:"flinkJobId"`
	From       int            `json:"from"`
	To         int            `json:"to"`
	Slots      int            `json:"slots"` // registered ones to wait for before; Flink silently runs narrower without
	Targets    map[string]int `json:"targets,omitempty"`
}

// RescaleOut says when Flink was told.
type RescaleOut struct {
	SentAt int64 `json:"sentAt"` // ms since 1970
}

// SpareIn asks for that many TaskManagers without a task.
type SpareIn struct {
	Count int `json:"count"`
}

// SpareOut names their pods; fewer than asked for where tasks keep them busy.
type SpareOut struct {
	Pods []string `json:"pods"`
}

// State is an agent's view of its cluster, for people and plans.
type State struct {
	Generation    int    `json:"generation"`
	PodUID        string `json:"podUID"`
	Version       string `json:"version"`
	JobManager    string `json:"jobManager"` // "up" or why not
	SlotsTotal    int    `json:"slotsTotal"`
	SlotsFree     int    `json:"slotsFree"`
	FlinkJobID    string `json:"flinkJobId,omitempty"` // of the Lease's intent
	JobState      string `json:"jobState,omitempty"`   // Flink's word, "" when none, "UNKNOWN" when it can't be read
	LastSavepoint string `json:"lastSavepoint,omitempty"`
	// Idle: no task can run in the generation. Looked at only when the job doesn't
	// run by Flink's word; every TaskManager's container has ended, or is
	// registered with all slots free.
	Idle bool `json:"idle,omitempty"`
	// Vertices of the job: the names of the operators that head its chains.
	Vertices []Vertex `json:"vertices,omitempty"`
}
