package activities

// ReadStateIn says where to look: the newest complete snapshot in Directory
// (hdfs://…, one submission's checkpoints), else the one at Path; each may be "".
type ReadStateIn struct {
	Directory string `json:"directory,omitempty"`
	Path      string `json:"path,omitempty"`
}

// ReadStateOut is a snapshot's operators; Path is "" when there provably is none.
type ReadStateOut struct {
	Path         string           `json:"path,omitempty"`
	CheckpointID int64            `json:"checkpointId,omitempty"`
	Version      int32            `json:"version,omitempty"`      // of the metadata's format
	Operators    []StoredOperator `json:"operators,omitempty"`    // those with state first
	Omitted      int              `json:"omitted,omitempty"`      // operators left out: agentapi.MaxOperators is reached
	OmittedState int              `json:"omittedState,omitempty"` // of them, those with state
}

// StoredOperator is one operator in a snapshot. Field names are short: a
// snapshot may have thousands.
type StoredOperator struct {
	ID             string `json:"id"`
	UID            string `json:"uid,omitempty"` // Flink 2.x stores it
	Name           string `json:"name,omitempty"`
	Parallelism    int    `json:"p"`
	MaxParallelism int    `json:"max"`
	State          bool   `json:"state,omitempty"`
	Bound          bool   `json:"bound,omitempty"` // Flink refuses more than MaxParallelism
	Bytes          int64  `json:"bytes,omitempty"`
}
