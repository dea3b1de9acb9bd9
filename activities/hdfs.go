package activities

// The HDFS activities (activities/hdfs).
var (
	// CheckArtifacts proves that the artifacts of a revision are there.
	CheckArtifacts = Def[CheckArtifactsIn, None]{"hdfs.CheckArtifacts", Quick}
	// MakeJobDirectories makes a job's directories, writable for Flink.
	MakeJobDirectories = Def[JobDirectoryIn, None]{"hdfs.MakeJobDirectories", Effect}
	// InspectJobDirectory says whether any snapshot's file lies below the job's
	// directory: "provably empty" needs an answer, not an error.
	InspectJobDirectory = Def[JobDirectoryIn, JobDirectoryOut]{"hdfs.InspectJobDirectory", Quick}
	// VerifySnapshot proves a snapshot whole: _metadata closed and readable, every
	// file that it names there and no shorter than its state. failure.NotFound when
	// it is proven absent, failure.Incompatible when broken: it names the file.
	VerifySnapshot = Def[VerifySnapshotIn, VerifySnapshotOut]{"hdfs.VerifySnapshot", Quick}
	// FindSnapshot looks into a directory (one savepoint try's own, or one
	// submission's checkpoints) for its newest complete snapshot by checkpoint id,
	// and, where asked, for the savepoints that some submissions made:
	// the truth is HDFS, not the ledger. It reads heads only: what is chosen is
	// verified, and none older takes the place of one that turns out damaged.
	FindSnapshot = Def[FindSnapshotIn, FindSnapshotOut]{"hdfs.FindSnapshot", Quick}
	// ReadState lists the operators of the newest complete snapshot.
	// failure.Incompatible when its _metadata can't be read.
	ReadState = Def[ReadStateIn, ReadStateOut]{"hdfs.ReadState", Quick}
	// InspectForeign looks at a snapshot that isn't the job's own: allowed, complete
	// and self-contained. failure.Refused, Incompatible or NotFound when it isn't.
	InspectForeign = Def[ForeignIn, ForeignOut]{"hdfs.InspectForeign", Quick}
	// CopyForeign copies it into the job's own directory; a repeat goes on where the
	// last one was cut off.
	CopyForeign = Def[ForeignIn, ForeignOut]{"hdfs.CopyForeign", Await}
	// RemoveForeign removes the copy that an operation made and never used.
	RemoveForeign = Def[ForeignIn, None]{"hdfs.RemoveForeign", Effect}
)

// CheckArtifactsIn names artifacts of a tenant by digest ("sha256:…").
type CheckArtifactsIn struct {
	Tenant  string   `json:"tenant"`
	Digests []string `json:"digests"`
}

// JobDirectoryIn names a job's directory.
type JobDirectoryIn struct {
	UID string `json:"uid"`
}

// JobDirectoryOut is what was found.
type JobDirectoryOut struct {
	Empty   bool   `json:"empty"`
	Example string `json:"example,omitempty"` // one _metadata found
}

// VerifySnapshotIn names a snapshot's directory (hdfs://… or a path).
type VerifySnapshotIn struct {
	Path string `json:"path"`
}

// VerifySnapshotOut is what was read.
type VerifySnapshotOut struct {
	MetadataBytes int64 `json:"metadataBytes"`
	Version       int32 `json:"version"` // of the metadata's format
	CheckpointID  int64 `json:"checkpointId"`
}

// FindSnapshotIn is a directory, hdfs://…
type FindSnapshotIn struct {
	Directory string `json:"directory"`
	// Savepoints is the directory of all of a job's savepoints; "": they aren't
	// looked for.
	Savepoints string `json:"savepoints,omitempty"`
	// MadeBy are the Flink ids of the submissions whose savepoints are looked for,
	// those first that matter most.
	MadeBy []string `json:"madeBy,omitempty"`
}

// FindSnapshotOut is the newest complete snapshot below it; Path is "" when
// there is provably none.
type FindSnapshotOut struct {
	Path         string `json:"path"`
	CheckpointID int64  `json:"checkpointId"`
	// Savepoints in the order of MadeBy, the newest first, 100 at most.
	Savepoints []FoundSnapshot `json:"savepoints,omitempty"`
}

// FoundSnapshot is a complete snapshot on HDFS.
type FoundSnapshot struct {
	Path         string `json:"path"`
	CheckpointID int64  `json:"checkpointId"`
}

// ForeignIn names a snapshot that isn't the job's own, and the copy.
type ForeignIn struct {
	Tenant    string `json:"tenant"`
	Location  string `json:"location,omitempty"`
	UID       string `json:"uid,omitempty"`       // of the job, for the copy
	Operation string `json:"operation,omitempty"` // the same
}

// ForeignOut is the snapshot: the original, or the copy.
type ForeignOut struct {
	Path         string `json:"path"`
	CheckpointID int64  `json:"checkpointId"`
	Version      int32  `json:"version"` // of the metadata's format
	Files        int    `json:"files"`
	Bytes        int64  `json:"bytes"`
}
