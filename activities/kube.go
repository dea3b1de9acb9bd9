package activities

import (
	"sluice/internal/job"
	"sluice/internal/lease"
)

// The Kubernetes activities (activities/kube).
var (
	// ReadLease reads the writer lease; Exists is false only when the API server
	// says that there is none.
	ReadLease = Def[LeaseIn, ReadLeaseOut]{"kube.ReadLease", Quick}
	// ReserveGeneration creates the Lease if need be and gives the operation a
	// generation number; a repeat gives the same.
	ReserveGeneration = Def[LeaseIn, ReserveOut]{"kube.ReserveGeneration", Effect}
	// PlaceHold puts the operation's hold on the Lease.
	PlaceHold = Def[LeaseIn, lease.State]{"kube.PlaceHold", Effect}
	// TakeHold puts it in the place of the hold of an operation whose run is over.
	TakeHold = Def[TakeHoldIn, lease.State]{"kube.TakeHold", Effect}
	// MoveLease makes the generation active; it fails with Unproven while the last
	// intent may live.
	MoveLease = Def[LeaseIn, lease.State]{"kube.MoveLease", Effect}
	// RecordOutcome writes the outcome of the intent of an epoch.
	RecordOutcome = Def[RecordOutcomeIn, lease.State]{"kube.RecordOutcome", Effect}
	// ReleaseHold takes the hold away and sets the profile in force.
	ReleaseHold = Def[LeaseIn, lease.State]{"kube.ReleaseHold", Effect}
	// CheckSecrets fails with Refused when a Secret that a revision names isn't there.
	CheckSecrets = Def[SecretsIn, None]{"kube.CheckSecrets", Quick}
	// ApplyGeneration makes (or completes) a generation's objects.
	ApplyGeneration = Def[GenerationIn, GenerationOut]{"kube.ApplyGeneration", Effect}
	// AwaitGeneration waits by a watch until the asked Deployments are available.
	// Without room for their pods it fails behind a grace, with the detail
	// failure.NoRoom.
	AwaitGeneration = Def[AwaitGenerationIn, AwaitGenerationOut]{"kube.AwaitGeneration", Await}
	// ScaleDownWorkers takes a generation's TaskManagers away (cold only).
	ScaleDownWorkers = Def[GenerationRef, None]{"kube.ScaleDownWorkers", Effect}
	// RestoreWorkers makes as many as the generation was made with again.
	RestoreWorkers = Def[GenerationRef, None]{"kube.RestoreWorkers", Effect}
	// ScaleDownGeneration takes all of a generation's pods away (unchecked only).
	ScaleDownGeneration = Def[GenerationRef, None]{"kube.ScaleDownGeneration", Effect}
	// RestoreGeneration makes all of them again that the generation was made with.
	RestoreGeneration = Def[GenerationRef, None]{"kube.RestoreGeneration", Effect}
	// ScaleWorkers brings a generation to another number of TaskManagers (in place);
	// those named as spare go first.
	ScaleWorkers = Def[WorkersIn, None]{"kube.ScaleWorkers", Effect}
	// NoteSize writes the size of an in-place change onto the Lease.
	NoteSize = Def[NoteSizeIn, lease.State]{"kube.NoteSize", Effect}
	// RemoveGeneration retires it on the Lease and deletes its root by UID.
	RemoveGeneration = Def[GenerationRef, None]{"kube.RemoveGeneration", Effect}
)

// LeaseIn addresses the writer lease for an operation.
type LeaseIn struct {
	Identity   job.Identity `json:"identity"`
	Operation  string       `json:"operation"`
	Generation int          `json:"generation,omitempty"` // MoveLease
	Profile    string       `json:"profile,omitempty"`    // ReleaseHold
	Since      string       `json:"since,omitempty"`      // PlaceHold, RFC 3339 by the workflow's clock
	Released   string       `json:"released,omitempty"`   // PlaceHold: lease.State.Released as the plan saw it
	MayCreate  bool         `json:"mayCreate,omitempty"`  // ReserveGeneration: the plan saw that the job never had a Lease
}

// TakeHoldIn takes over a hold as it was seen.
type TakeHoldIn struct {
	Identity  job.Identity `json:"identity"`
	Operation string       `json:"operation"`
	Since     string       `json:"since"` // RFC 3339 by the workflow's clock
	Seen      lease.State  `json:"seen"`
}

// ReadLeaseOut is the Lease, or that there is none.
type ReadLeaseOut struct {
	Exists bool        `json:"exists"`
	State  lease.State `json:"state"`
}

// SecretsIn names Secrets of a job's namespace.
type SecretsIn struct {
	Identity job.Identity `json:"identity"`
	Names    []string     `json:"names"`
}

// ReserveOut is the operation's generation.
type ReserveOut struct {
	Generation int         `json:"generation"`
	State      lease.State `json:"state"`
}

// RecordOutcomeIn is an intent's outcome.
type RecordOutcomeIn struct {
	Identity job.Identity  `json:"identity"`
	Epoch    int64         `json:"epoch"`
	Outcome  lease.Outcome `json:"outcome"`
	// Savepoint is what the stop on the Lease left, where its operation is over.
	Savepoint string `json:"savepoint,omitempty"`
}

// GenerationRef names a generation of a job.
type GenerationRef struct {
	Identity   job.Identity `json:"identity"`
	Generation int          `json:"generation"`
}

// WorkersIn is a number of TaskManagers for a generation that stands.
type WorkersIn struct {
	Identity   job.Identity `json:"identity"`
	Generation int          `json:"generation"`
	Replicas   int          `json:"replicas"`
	Spare      []string     `json:"spare,omitempty"` // pods without a task
}

// NoteSizeIn is the size that the operation brings its submission to.
type NoteSizeIn struct {
	Identity  job.Identity `json:"identity"`
	Operation string       `json:"operation"`
	Size      lease.Size   `json:"size"`
}

// GenerationIn is all from which a generation's objects are made.
type GenerationIn struct {
	Identity   job.Identity `json:"identity"`
	Operation  string       `json:"operation"`
	Generation int          `json:"generation"`
	Revision   job.Revision `json:"revision"`
	Profile    job.Profile  `json:"profile"`
	// Workers false leaves the TaskManagers out (cold, before the stop); a second
	// apply with true adds them.
	Workers bool `json:"workers"`
}

// GenerationOut says what was made.
type GenerationOut struct {
	RootUID string   `json:"rootUid"`
	Objects []string `json:"objects"` // "Deployment/orders-g2-jobmanager"
}

// AwaitGenerationIn waits for the roles named.
type AwaitGenerationIn struct {
	Identity   job.Identity `json:"identity"`
	Generation int          `json:"generation"`
	Roles      []string     `json:"roles"`             // client, jobmanager, taskmanager
	Settled    bool         `json:"settled,omitempty"` // also until the pods that go are gone, for a minute
	// RoomSince, RFC 3339: room was made then, so the grace of pods that waited for
	// some before begins anew.
	RoomSince string `json:"roomSince,omitempty"`
}

// AwaitGenerationOut is the time that each role took.
type AwaitGenerationOut struct {
	ReadyMS map[string]int64 `json:"readyMs"`
}
