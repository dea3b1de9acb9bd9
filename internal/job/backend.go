package job

import (
	"cmp"
	"strings"
)

// State backends by Flink's short names.
const (
	HashMap = "hashmap"
	RocksDB = "rocksdb"
	ForSt   = "forst" // Flink 2
)

// StateBackend is the backend in which the revision's jobs keep their state, as
// Flink's StateBackendLoader reads the options: short names in any case, or a
// factory's class, whose package changed in 2.0. A factory of the user's own is
// given as it is written.
func (s Spec) StateBackend() string {
	name := cmp.Or(s.Options["state.backend.type"], s.Options["state.backend"], HashMap) // the second is the older key
	switch {
	case strings.HasSuffix(name, "RocksDBStateBackendFactory"):
		return RocksDB
	case strings.HasSuffix(name, "ForStStateBackendFactory"):
		return ForSt
	case strings.Contains(name, "."):
		return name
	default:
		return strings.ToLower(name)
	}
}

// ManagedState says whether the state lives in Flink's managed memory rather than
// on the heap.
func (s Spec) ManagedState() bool {
	backend := s.StateBackend()
	return backend == RocksDB || backend == ForSt
}
