package manifest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

func TestDivideJobManager(t *testing.T) {
	for total, want := range map[int]JobManagerMemory{
		384:  {Heap: 128, OffHeap: 64, Metaspace: 128, Overhead: 64},
		640:  {Heap: 336, OffHeap: 80, Metaspace: 160, Overhead: 64},
		1024: {Heap: 538, OffHeap: 128, Metaspace: 256, Overhead: 102},
		8192: {Heap: 6989, OffHeap: 128, Metaspace: 256, Overhead: 819},
	} {
		got, err := DivideJobManager(total)
		require.NoError(t, err, total)
		require.Equal(t, want, got, total)
	}
}

func TestDivideTaskManager(t *testing.T) {
	for _, c := range []struct {
		total   int
		rocksDB bool
		want    TaskManagerMemory
	}{
		{480, false, TaskManagerMemory{FrameworkHeap: 64, TaskHeap: 122, FrameworkOffHeap: 32, Managed: 30, Network: 40, Metaspace: 128, Overhead: 64}},
		{1024, false, TaskManagerMemory{FrameworkHeap: 102, TaskHeap: 416, FrameworkOffHeap: 51, Managed: 64, Network: 85, Metaspace: 204, Overhead: 102}},
		{1728, true, TaskManagerMemory{FrameworkHeap: 128, TaskHeap: 510, FrameworkOffHeap: 86, Managed: 432, Network: 144, Metaspace: 256, Overhead: 172}},
		{16384, true, TaskManagerMemory{FrameworkHeap: 128, TaskHeap: 9728, FrameworkOffHeap: 128, Managed: 4096, Network: 1024, Metaspace: 256, Overhead: 1024}},
	} {
		got, err := DivideTaskManager(c.total, c.rocksDB)
		require.NoError(t, err, c.total)
		require.Equal(t, c.want, got, c.total)
	}
}

// The parts are the whole, for every size that is accepted, and the refusal
// names a size that is accepted.
func TestDivisionsAddUp(t *testing.T) {
	for total := 1; total <= 20000; total++ {
		if m, err := DivideJobManager(total); err == nil {
			require.Equal(t, total, m.Heap+m.OffHeap+m.Metaspace+m.Overhead)
			require.GreaterOrEqual(t, m.Heap, leastJobManagerHeap)
		} else {
			require.Less(t, total, leastJobManager)
		}
		for _, rocksDB := range []bool{false, true} {
			least := leastTaskManager
			if rocksDB {
				least = leastTaskManagerRocksDB
			}
			m, err := DivideTaskManager(total, rocksDB)
			if err != nil {
				require.Less(t, total, least)
				continue
			}
			require.Equal(t, total, m.FrameworkHeap+m.TaskHeap+m.FrameworkOffHeap+m.Managed+m.Network+m.Metaspace+m.Overhead)
			require.GreaterOrEqual(t, m.TaskHeap, leastTaskHeap)
			require.Positive(t, m.Managed)
		}
	}
	_, err := DivideTaskManager(leastTaskManager, false)
	require.NoError(t, err)
	_, err = DivideTaskManager(leastTaskManagerRocksDB, true)
	require.NoError(t, err)
	_, err = DivideJobManager(leastJobManager)
	require.NoError(t, err)
}

// What the API lets through can be built.
func TestSmallestProfilesOfTheAPI(t *testing.T) {
	profile := job.DefaultProfile()
	require.NoError(t, CheckProfile(job.Spec{}, profile))
	require.NoError(t, CheckProfile(job.Spec{Options: map[string]string{"state.backend.type": "rocksdb"}}, profile))
	profile.JobManager.MemoryMiB, profile.TaskManager.MemoryMiB = job.MinJobManagerMiB, job.MinTaskManagerMiB
	require.NoError(t, CheckProfile(job.Spec{}, profile))
	require.NoError(t, CheckProfile(job.Spec{Options: map[string]string{"state.backend": "rocksdb"}}, profile))
}
