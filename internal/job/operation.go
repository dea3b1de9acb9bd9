package job

// Kind is what an operation does.
type Kind string

// The kinds of an operation.
const (
	Start     Kind = "start"
	Stop      Kind = "stop"
	Upgrade   Kind = "upgrade"
	Savepoint Kind = "savepoint"
	Restart   Kind = "restart"  // the revision and profile in force, on a new generation
	Rollback  Kind = "rollback" // an upgrade to an older revision
	Rescale   Kind = "rescale"  // the running revision with another profile
)

// Replaces says whether the operation puts a new submission in the place of the
// one that runs.
func (k Kind) Replaces() bool {
	return k == Upgrade || k == Restart || k == Rollback || k == Rescale
}

// Submits says whether it makes a new submission.
func (k Kind) Submits() bool { return k == Start || k.Replaces() }

// ChoosesRevision says whether it may bring another revision than the one in force.
func (k Kind) ChoosesRevision() bool { return k == Start || k == Upgrade || k == Rollback }

// Kinds are all of them, in the order in which people read them.
var Kinds = []Kind{Start, Stop, Upgrade, Rescale, Savepoint, Restart, Rollback}

// Strategy says what stands before the old job is touched.
type Strategy string

// Warm: the whole new cluster stands, primed, before the stop. Cold: only its
// JobManager does; the TaskManagers come after the stop (less resources, more
// downtime). InPlace: the running job gets another parallelism; nothing new is
// made but TaskManagers.
const (
	Warm    Strategy = "warm"
	Cold    Strategy = "cold"
	InPlace Strategy = "in-place"
)

// Request is what a person asks of an operation.
type Request struct {
	Kind     Kind     `json:"kind"`
	Revision int      `json:"revision,omitempty"` // 0: the newest; of a rollback the newest older one that was committed
	Profile  string   `json:"profile,omitempty"`  // "": the one in force, else "ordinary"
	Strategy Strategy `json:"strategy,omitempty"` // "": warm; of a rescale in place where that is possible
	// AllowCold lets a warm operation go on cold when its TaskManagers don't fit
	// beside those that run.
	AllowCold bool `json:"allowCold,omitempty"`
	// AllowUnchecked lets a cold operation go on when not even the new JobManager
	// fits beside what runs: the job is stopped before anything of the new revision
	// was checked.
	AllowUnchecked bool `json:"allowUnchecked,omitempty"`
	Stateless      bool `json:"stateless,omitempty"` // start without a snapshot, stop without making sure of one
	// AllowStateLoss is the word without which a start or upgrade is refused whose
	// job graph has no operator for some state in the snapshot.
	AllowStateLoss bool   `json:"allowStateLoss,omitempty"`
	Reason         string `json:"reason,omitempty"` // shown to people, ≤ 200 characters
	// FromSnapshot is the address of the snapshot from which a start goes on: one of
	// the job's own, whatever came after it, or one that isn't, of which it takes a
	// copy, leaving what the job has of its own behind.
	FromSnapshot string `json:"fromSnapshot,omitempty"`

	// WithoutSavepoint lets an upgrade go on from the newest checkpoint, and a stop
	// leave it, when no savepoint can be taken: what was published after it is
	// repeated by sinks that aren't exactly-once. A job that crash-loops gets its fix
	// this way, or is stopped.
	WithoutSavepoint bool `json:"withoutSavepoint,omitempty"`
	// Replay is what a rollback may do when the old revision can't read the new
	// one's snapshots: go back to the savepoint and repeat what was published since.
	Replay Replay `json:"replay,omitempty"` // "": ask

	// SoakSeconds is how long the new submission is watched before the commit;
	// nil: DefaultSoakSeconds. 0 to 3600.
	SoakSeconds *int `json:"soakSeconds,omitempty"`

	// DefaultDecision is taken when the operation has waited DefaultAfterMinutes for
	// a person's, where it is among the ways that are open then.
	DefaultDecision     string `json:"defaultDecision,omitempty"`     // retry, replay or give-up
	DefaultAfterMinutes int    `json:"defaultAfterMinutes,omitempty"` // 1 to 10080

	// Supersede is a waiting operation of the job that this one takes the place of.
	Supersede string `json:"supersede,omitempty"`

	// PlanDigest is that of the plan that the person has seen: the operation ends
	// before any effect when its own differs. "": whatever it is.
	PlanDigest string `json:"planDigest,omitempty"`
}

// Replay is the policy for output that a rollback would repeat.
type Replay string

// The policies. ReplayDeny only takes the choice away: the operation still waits.
const (
	ReplayAsk   Replay = "ask"
	ReplayAllow Replay = "allow"
	ReplayDeny  Replay = "deny"
)

// DefaultSoakSeconds is DESIGN §4's soak.
const DefaultSoakSeconds = 30

// MaxDefaultMinutes bounds the wait for a decision before the default is taken: a week.
const MaxDefaultMinutes = 7 * 24 * 60

// MaxSoakSeconds bounds a soak: the job's lock is held that long.
const MaxSoakSeconds = 3600

// Soak is the soak in seconds.
func (r Request) Soak() int {
	if r.SoakSeconds == nil {
		return DefaultSoakSeconds
	}
	return *r.SoakSeconds
}

// Phase is an operation's coarse position, also a search attribute.
type Phase string

// The phases in their order; the last three are final but for Waiting.
const (
	Planning    Phase = "planning"
	Preparing   Phase = "preparing"
	Stopping    Phase = "stopping" // the point of no return lies at its start
	Submitting  Phase = "submitting"
	Proving     Phase = "proving"
	RollingBack Phase = "rolling-back" // the old revision comes back, on its own cluster
	Waiting     Phase = "waiting"      // for a person's decision, with evidence
	Committed   Phase = "committed"
	Failed      Phase = "failed"   // the job is as it was before
	Canceled    Phase = "canceled" // by a person before the point of no return
)

// Final says whether a phase is an operation's last.
func (p Phase) Final() bool { return p == Committed || p == Failed || p == Canceled }

// Snapshot is a savepoint or retained checkpoint. Order is (Epoch,
// CheckpointID), never a clock, never the id alone: ids restart at 1.
type Snapshot struct {
	Epoch        int64  `json:"epoch"`
	CheckpointID int64  `json:"checkpointId"`
	Path         string `json:"path"` // hdfs://…, the directory that holds _metadata
	Kind         string `json:"kind"` // "savepoint", Retained or Foreign
	Operation    string `json:"operation"`
}

// Retained is the kind of a checkpoint that a stop left in a savepoint's place.
const Retained = "checkpoint"

// Foreign is the kind of a snapshot that was copied in: only the submission that
// names it as its restore path goes on from it.
const Foreign = "foreign"
