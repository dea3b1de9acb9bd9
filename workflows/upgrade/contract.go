// Package upgrade is the flow that changes what runs: start, stop, upgrade,
// restart, rollback, rescale and savepoint are the same flow with other first or
// last steps (DESIGN §4).
//
// contract.go is what callers see, workflow.go the order of the steps.
// Pure decisions: plan.go, with engine.go, compare.go (state), transactions.go
// (Kafka), foresee.go (predictions, quota), lineage.go (what a start goes on from).
// Steps: prepare.go, stop.go, submit.go, finish.go; inplace.go a rescale's, rest.go
// a stop's of what doesn't run, foreign.go a copied snapshot's, rollback.go the way
// back; room.go and unchecked.go what becomes of them without room.
// Waits: ask.go for a person, with declare.go and supersede.go as two answers;
// prove.go for a proof; heir.go takes over a dead operation's hold, incident.go is
// what befalls the job meanwhile.
// planonly.go is the flow that only plans, story.go what people read.
package upgrade

import (
	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// WorkflowName is the registered type.
const WorkflowName = "upgrade"

// RecordingName is the registered type of the run that takes a job's incidents
// while no operation is open.
const RecordingName = "incident"

// SignalIncident tells whatever run is open under a job's lock what befell the
// job: (job.Incident). It is sent with the start of a recording run.
const SignalIncident = "incident"

// Names of the query and the updates.
const (
	QueryProgress   = "progress"  // () → Progress
	UpdateCancel    = "cancel"    // (reason string): rejected after the point of no return
	UpdateRetry     = "retry"     // (reason string): decide for OptionRetry
	UpdateSupersede = "supersede" // (Input): another operation takes this one's place; rejected unless that way is open
	UpdateDecide    = "decide"    // (Decision): rejected unless the operation waits and offers that option
)

// Input starts an operation. Its workflow id is Job.WorkflowID(), the lock.
type Input struct {
	Operation   string      `json:"operation"` // ULID, decided by the api
	Job         job.Ref     `json:"job"`
	UID         string      `json:"uid"`
	Request     job.Request `json:"request"`
	RequestedBy string      `json:"requestedBy"`
}

// Ways on that a waiting operation may offer.
const (
	OptionRetry  = "retry"   // the same step again
	OptionReplay = "replay"  // roll back to the savepoint, though output is repeated
	OptionGiveUp = "give-up" // leave the job stopped, knowingly
	// OptionDeclareDead is an admin's word that containers have ended whose end
	// nothing proves: their machine is off. Then the step is tried again.
	OptionDeclareDead = "declare-dead"
	// OptionRollback is the way back where nothing of the new revision was submitted.
	OptionRollback = "rollback"
	// OptionSupersede is taken by starting another operation that names this one.
	OptionSupersede = "supersede"
)

// Option is one of them.
type Option struct {
	Name string `json:"name"`
	What string `json:"what"` // what it does, for people
}

// Decision is a person's choice among them.
type Decision struct {
	Option string `json:"option"`
	Reason string `json:"reason,omitempty"`
}

// Rollback says how the old revision came back, or why it has not yet.
type Rollback struct {
	Why         string  `json:"why"`                   // what failed
	RestorePath string  `json:"restorePath,omitempty"` // "": nothing was submitted
	Exact       bool    `json:"exact"`                 // nothing was published behind the snapshot
	Replay      *Replay `json:"replay,omitempty"`      // set where output is repeated
}

// Replay is a range of output that is published twice: all that was published
// after the snapshot From until the end of what is left, its newest being To.
type Replay struct {
	From         string `json:"from"`
	To           string `json:"to"`
	Epoch        int64  `json:"epoch"`        // the submission that made To; all since From is repeated
	CheckpointID int64  `json:"checkpointId"` // its newest
}

// PlanName is the registered type of the flow that only plans.
const PlanName = "plan"

// PlanInput asks what an operation would do. Its workflow id is
// Job.PlanWorkflowID(Plan): it holds no lock.
type PlanInput struct {
	Plan        string      `json:"plan"` // ULID, decided by the api
	Job         job.Ref     `json:"job"`
	UID         string      `json:"uid"`
	Request     job.Request `json:"request"`
	Spec        *job.Spec   `json:"spec,omitempty"` // of a revision that is not applied yet
	RequestedBy string      `json:"requestedBy"`
}

// Progress is all that people and the api see of an operation, also its result.
type Progress struct {
	Operation  string    `json:"operation"`
	Job        job.Ref   `json:"job"`
	Kind       job.Kind  `json:"kind"`
	Phase      job.Phase `json:"phase"`
	Revision   int       `json:"revision,omitempty"`
	Profile    string    `json:"profile,omitempty"`
	Generation int       `json:"generation,omitempty"`
	Epoch      int64     `json:"epoch,omitempty"`
	FlinkJobID string    `json:"flinkJobId,omitempty"`
	WaitingFor string    `json:"waitingFor,omitempty"`
	Since      string    `json:"since,omitempty"` // RFC 3339, start of the wait
	Plan       *Plan     `json:"plan,omitempty"`
	Steps      []Step    `json:"steps,omitempty"`
	Savepoint  string    `json:"savepoint,omitempty"`
	// TransactionsExpireAt: while the job is stopped, when Kafka gives up what the
	// snapshot prepared; RFC 3339.
	TransactionsExpireAt string         `json:"transactionsExpireAt,omitempty"`
	DowntimeMS           int64          `json:"downtimeMs,omitempty"` // stop sent → every vertex RUNNING again
	Evidence             []string       `json:"evidence,omitempty"`
	Rollback             *Rollback      `json:"rollback,omitempty"`
	Options              []Option       `json:"options,omitempty"` // while it waits
	Failure              *failure.Error `json:"failure,omitempty"`
	// DecideBy is when Default is taken if nobody decides, RFC 3339; "": never.
	DecideBy string `json:"decideBy,omitempty"`
	Default  string `json:"default,omitempty"`
	// SupersededBy is the operation that took this one's place.
	SupersededBy string `json:"supersededBy,omitempty"`
	Cancelable   bool   `json:"cancelable"`
	Retryable    bool   `json:"retryable"`
	RequestedBy  string `json:"requestedBy,omitempty"`
	StartedAt    string `json:"startedAt,omitempty"`
	EndedAt      string `json:"endedAt,omitempty"`
	Version      int64  `json:"version"` // goes up with every change
}

// Step is one step of the timeline.
type Step struct {
	Name       string `json:"name"`
	State      string `json:"state"` // running, done, failed, canceled
	Detail     string `json:"detail,omitempty"`
	StartedAt  string `json:"startedAt"`         // RFC 3339 with ms
	EndedAt    string `json:"endedAt,omitempty"` //
	DurationMS int64  `json:"durationMs,omitempty"`
}

// Plan is what the operation would do; its first part is made before any
// effect, Unchecked, Vertices and State after the new cluster is prepared.
type Plan struct {
	Digest       string            `json:"digest"` // sha256 of the first part
	Kind         job.Kind          `json:"kind"`
	Strategy     job.Strategy      `json:"strategy,omitempty"`
	Why          string            `json:"why,omitempty"` // this strategy
	From         *Side             `json:"from,omitempty"`
	To           *Side             `json:"to,omitempty"`
	Restore      string            `json:"restore,omitempty"`     // path, "savepoint taken by this operation" or "stateless"
	NoSavepoint  bool              `json:"noSavepoint,omitempty"` // none is tried: the job isn't RUNNING
	RestorePath  string            `json:"restorePath,omitempty"`
	Keeps        string            `json:"keeps,omitempty"`  // of a stop that may take no savepoint: what would be left if it ended now
	Replay       *Replay           `json:"replay,omitempty"` // of a start from a chosen snapshot: what is published again
	Changes      []Change          `json:"changes,omitempty"`
	Delta        Delta             `json:"delta"`
	Steps        []string          `json:"steps"`
	Unchecked    string            `json:"unchecked,omitempty"`    // what was not checked before the stop, and why
	Transactions *Transactions     `json:"transactions,omitempty"` // of a job that writes to Kafka
	Vertices     []agentapi.Vertex `json:"vertices,omitempty"`
	State        *StateComparison  `json:"state,omitempty"`
	// Predicted and Quota are of the first part, but not of its digest.
	Predicted *Prediction            `json:"predicted,omitempty"`
	Quota     []activities.QuotaRoom `json:"quota,omitempty"`
}

// Side is one end of a change.
type Side struct {
	Revision   int    `json:"revision"`
	Digest     string `json:"digest"`
	Profile    string `json:"profile"`
	Generation int    `json:"generation,omitempty"`
	Epoch      int64  `json:"epoch,omitempty"`
	// ProfileDigest: a profile of the same name may have been edited.
	ProfileDigest string `json:"profileDigest,omitempty"`
}

// Change is one field that differs between the running and the target spec.
type Change = job.Change

// Delta is what the operation needs beside what runs, until the old generation
// is gone.
type Delta struct {
	CPU       string `json:"cpu,omitempty"` // cores
	MemoryMiB int    `json:"memoryMiB,omitempty"`
	Slots     int    `json:"slots,omitempty"`
}
