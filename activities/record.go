package activities

import (
	"sluice/internal/job"
)

// The record store's activities (activities/record).
var (
	// Claim sets the run id of an operation's row where it is null or its own. A
	// lost claim is failure.Refused: the run ends without effects.
	Claim = Def[ClaimIn, ClaimOut]{"record.Claim", Quick}
	// Resolve reads what an operation needs: identity, revision, profile.
	Resolve = Def[ResolveIn, ResolveOut]{"record.Resolve", Quick}
	// Snapshots lists the ledger of a job, newest first by (epoch, id).
	Snapshots = Def[SnapshotsIn, SnapshotsOut]{"record.Snapshots", Quick}
	// RecordSnapshot adds a verified snapshot to the ledger; a repeat is harmless.
	RecordSnapshot = Def[RecordSnapshotIn, None]{"record.RecordSnapshot", Effect}
	// Commit writes the job's new current revision, profile and state.
	Commit = Def[CommitIn, None]{"record.Commit", Effect}
	// Finish writes the operation's final phase and result.
	Finish = Def[FinishIn, None]{"record.Finish", Effect}
	// ContainerEnds reads proofs of containers' ends.
	ContainerEnds = Def[ContainerEndsIn, ContainerEndsOut]{"record.ContainerEnds", Quick}
	// RecordIncident writes what befell a job; a repeat is harmless.
	RecordIncident = Def[RecordIncidentIn, None]{"record.RecordIncident", Effect}
)

// ClaimIn claims an operation's row for this run.
type ClaimIn struct {
	Operation string `json:"operation"`
	RunID     string `json:"runId"`
}

// ClaimOut says whether the claim was won.
type ClaimOut struct {
	Won   bool   `json:"won"`
	RunID string `json:"runId"` // that holds the row
}

// ResolveIn names job and wishes.
type ResolveIn struct {
	Job      job.Ref `json:"job"`
	UID      string  `json:"uid"`      // "" : whatever it is now
	Revision int     `json:"revision"` // 0: newest
	Profile  string  `json:"profile"`  // "": current, else "ordinary"
	Current  bool    `json:"current"`  // the committed revision, whatever is newest (stop, savepoint, restart)
	// Before asks, where no revision is named, for the newest one below the
	// committed that was ever committed (rollback).
	Before bool `json:"before,omitempty"`
	// Newest takes the newest where none is named, also one that a rollback withdrew.
	Newest bool `json:"newest,omitempty"`
}

// ResolveOut is what they are.
type ResolveOut struct {
	Identity job.Identity `json:"identity"`
	Revision job.Revision `json:"revision"`
	Profile  job.Profile  `json:"profile"`
	Current  Current      `json:"current"`
	// CurrentSpec is that of Current; nil when never committed.
	CurrentSpec *job.Spec `json:"currentSpec,omitempty"`
	// EverSnapshot says that the ledger has or had a snapshot of this job (uid),
	// gone ones included.
	EverSnapshot bool `json:"everSnapshot"`
	Newest       int  `json:"newest,omitempty"` // number of the newest revision
}

// Current is the last committed state of a job.
type Current struct {
	Revision int    `json:"revision"` // 0: never committed
	Digest   string `json:"digest,omitempty"`
	Profile  string `json:"profile,omitempty"`
	State    string `json:"state"` // "new", "running", "stopped"
	Epoch    int64  `json:"epoch"` // the Lease's is never below it
	// ProfileDigest is the profile's as it was committed; today's of the same name
	// may differ.
	ProfileDigest string `json:"profileDigest,omitempty"`
	// Applied is that profile; nil when it was committed before it was recorded.
	Applied *job.Profile `json:"applied,omitempty"`
}

// SnapshotsIn names the job.
type SnapshotsIn struct {
	JobUID string `json:"jobUid"`
}

// SnapshotsOut lists complete snapshots (none that is gone), newest first.
type SnapshotsOut struct {
	Snapshots []job.Snapshot `json:"snapshots"`
}

// RecordSnapshotIn is a verified snapshot.
type RecordSnapshotIn struct {
	JobUID   string       `json:"jobUid"`
	Snapshot job.Snapshot `json:"snapshot"`
	Engine   job.Engine   `json:"engine"`
	Revision int          `json:"revision"`
}

// CommitIn is a job's new current state.
type CommitIn struct {
	JobUID    string `json:"jobUid"`
	Operation string `json:"operation"`
	Revision  int    `json:"revision"`
	Profile   string `json:"profile"`
	// ProfileDigest is the digest of the profile as it was applied.
	ProfileDigest string       `json:"profileDigest"`
	Applied       *job.Profile `json:"applied,omitempty"` // the profile of that digest
	State         string       `json:"state"`             // running, stopped
	Epoch         int64        `json:"epoch"`
	Generation    int          `json:"generation"`
	// Withdrawn is the newest revision when a rollback went behind it; 0: none did.
	Withdrawn int `json:"withdrawn,omitempty"`
}

// FinishIn ends an operation's row.
type FinishIn struct {
	Operation string    `json:"operation"`
	Phase     job.Phase `json:"phase"`
	Result    []byte    `json:"result"` // JSON of upgrade.Progress
}

// RecordIncidentIn is an incident and who dealt with it.
type RecordIncidentIn struct {
	Incident  job.Incident `json:"incident"`
	Operation string       `json:"operation,omitempty"` // "": none was open
}

// ContainerEndsIn names containers ("containerd://…").
type ContainerEndsIn struct {
	ContainerIDs []string `json:"containerIds,omitempty"`
	JobUID       string   `json:"jobUid"`
	Generation   int      `json:"generation"` // all of a generation when ContainerIDs is empty
	// After, where none of ContainerIDs is recorded, takes the ends of the
	// containers that came after this one: they prove its end.
	After *Attempt `json:"after,omitempty"`
}

// Attempt is one of the containers of a name that run one after the other in a pod.
type Attempt struct {
	PodUID    string `json:"podUid"`
	Container string `json:"container"`
	Number    int    `json:"number"` // from 1; 0: not known, so nothing is known to come after it
}

// ContainerEnd is a kubelet's state.terminated, as the observer recorded it, or
// what is as good (Source).
type ContainerEnd struct {
	ContainerID string `json:"containerId"`
	PodUID      string `json:"podUid"`
	Pod         string `json:"pod"`
	Role        string `json:"role"` // jobmanager, taskmanager
	ExitCode    int32  `json:"exitCode"`
	FinishedAt  string `json:"finishedAt"`
	// Source is whose word it is where no kubelet could speak; "": the kubelet's.
	Source string `json:"source,omitempty"`
}

// ContainerEndsOut lists those that are proven.
type ContainerEndsOut struct {
	Ends []ContainerEnd `json:"ends"`
}
