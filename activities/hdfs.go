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
	// VerifySnapshot reads _metadata: closed, not empty, right header.
	// failure.NotFound when it is proven absent, failure.Incompatible when broken.
	VerifySnapshot = Def[VerifySnapshotIn, VerifySnapshotOut]{"hdfs.VerifySnapshot", Quick}
	// FindSavepoint looks into one try's own directory for a complete savepoint.
	FindSavepoint = Def[FindSavepointIn, FindSavepointOut]{"hdfs.FindSavepoint", Quick}
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

// FindSavepointIn is a try's own directory.
type FindSavepointIn struct {
	Directory string `json:"directory"`
}

// FindSavepointOut is the complete savepoint below it; "" when there is none.
type FindSavepointOut struct {
	Path string `json:"path"`
}

// NewestCheckpoint looks for the newest complete retained checkpoint of one
// Flink job by its id: the truth is HDFS, not the ledger.
var NewestCheckpoint = Def[NewestCheckpointIn, NewestCheckpointOut]{"hdfs.NewestCheckpoint", Quick}

// NewestCheckpointIn names a submission's own checkpoints.
type NewestCheckpointIn struct {
	JobUID     string `json:"jobUid"`
	FlinkJobID string `json:"flinkJobId"`
}

// NewestCheckpointOut is the newest; Path is "" when there is provably none.
type NewestCheckpointOut struct {
	Path         string `json:"path"`
	CheckpointID int64  `json:"checkpointId"`
}
