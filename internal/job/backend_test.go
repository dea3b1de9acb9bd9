package job_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

func TestStateBackendIsWhatFlinkLoads(t *testing.T) {
	for _, c := range []struct {
		options map[string]string
		want    string
		managed bool
	}{
		{nil, job.HashMap, false},
		{map[string]string{"state.backend.type": "rocksdb"}, job.RocksDB, true},
		{map[string]string{"state.backend.type": "RocksDB"}, job.RocksDB, true}, // Flink takes short names in any case
		{map[string]string{"state.backend": "rocksdb"}, job.RocksDB, true},
		{map[string]string{"state.backend.type": "", "state.backend": "rocksdb"}, job.RocksDB, true},
		{map[string]string{"state.backend.type": "hashmap", "state.backend": "rocksdb"}, job.HashMap, false}, // the new name counts
		{map[string]string{"state.backend.type": "org.apache.flink.contrib.streaming.state.EmbeddedRocksDBStateBackendFactory"}, job.RocksDB, true},
		{map[string]string{"state.backend.type": "org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackendFactory"}, job.RocksDB, true},
		{map[string]string{"state.backend.type": "forst"}, job.ForSt, true},
		{map[string]string{"state.backend.type": "com.example.OwnFactory"}, "com.example.OwnFactory", false},
		{map[string]string{"state.backend.rocksdb.localdir": "/x"}, job.HashMap, false},
	} {
		spec := job.Spec{Options: c.options}
		require.Equal(t, c.want, spec.StateBackend(), fmt.Sprint(c.options))
		require.Equal(t, c.managed, spec.ManagedState(), fmt.Sprint(c.options))
	}
}
