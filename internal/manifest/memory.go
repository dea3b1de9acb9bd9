package manifest

import (
	"fmt"

	"sluice/internal/job"
)

// All sizes in MiB. Flink's own scripts derive these from one total with
// defaults made for big machines (192 MiB overhead, 256 MiB metaspace at
// least); a plain `java` needs every part spelled out, and small jobs must fit
// into small pods. The parts always add up to the total, which is the
// container's limit.

// JobManagerMemory splits a JobManager's process.
type JobManagerMemory struct {
	Heap, OffHeap, Metaspace, Overhead int
}

// TaskManagerMemory splits a TaskManager's process.
type TaskManagerMemory struct {
	FrameworkHeap, TaskHeap, FrameworkOffHeap, Managed, Network, Metaspace, Overhead int
}

// Heap is the JVM's -Xmx.
func (m TaskManagerMemory) Heap() int { return m.FrameworkHeap + m.TaskHeap }

// Direct is the JVM's -XX:MaxDirectMemorySize. RocksDB takes its managed memory
// from malloc, the rest of the engine takes it from Unsafe: neither counts here.
func (m TaskManagerMemory) Direct() int { return m.FrameworkOffHeap + m.Network }

const (
	leastJobManagerHeap = 128 // a session JobManager with one job idles at ~80
	leastTaskHeap       = 96  // below it the first HDFS client and a checkpoint fill the heap
	leastJobManager     = 384
	leastTaskManager    = 449
	// RocksDB's share comes out of the same total.
	leastTaskManagerRocksDB = 574
)

// DivideJobManager splits total.
func DivideJobManager(total int) (JobManagerMemory, error) {
	m := JobManagerMemory{
		Overhead:  clamp(total/10, 64, 1024),
		Metaspace: clamp(total/4, 128, 256), // the job's classes are loaded here too, for the job graph
		OffHeap:   clamp(total/8, 64, 128),
	}
	m.Heap = total - m.Overhead - m.Metaspace - m.OffHeap
	if m.Heap < leastJobManagerHeap {
		return m, fmt.Errorf("%d MiB leave %d MiB of heap to a JobManager, which needs %d: give it at least %d MiB",
			total, max(m.Heap, 0), leastJobManagerHeap, leastJobManager)
	}
	return m, nil
}

// DivideTaskManager splits total. State in RocksDB lives in managed memory;
// without it that memory serves only SQL's sorts and Python, but must not be 0.
func DivideTaskManager(total int, rocksDB bool) (TaskManagerMemory, error) {
	m := TaskManagerMemory{
		Overhead:         clamp(total/10, 64, 1024),
		Metaspace:        clamp(total/5, 128, 256),
		Network:          clamp(total/12, 32, 1024),
		FrameworkHeap:    clamp(total/10, 64, 128),
		FrameworkOffHeap: clamp(total/20, 32, 128),
		Managed:          clamp(total/16, 16, 256),
	}
	if rocksDB {
		m.Managed = total / 4
	}
	m.TaskHeap = total - m.Overhead - m.Metaspace - m.Network - m.FrameworkHeap - m.FrameworkOffHeap - m.Managed
	if m.TaskHeap < leastTaskHeap {
		least := leastTaskManager
		if rocksDB {
			least = leastTaskManagerRocksDB
		}
		return m, fmt.Errorf("%d MiB leave %d MiB of heap to the tasks of a TaskManager, which need %d: give it at least %d MiB",
			total, max(m.TaskHeap, 0), leastTaskHeap, least)
	}
	return m, nil
}

func clamp(value, least, most int) int { return min(max(value, least), most) }

// CheckProfile says what is wrong with a profile for a spec; the API shows it
// before anything is made.
func CheckProfile(spec job.Spec, profile job.Profile) error {
	if _, err := DivideJobManager(profile.JobManager.MemoryMiB); err != nil {
		return fmt.Errorf("profile %s: jobManager.memoryMiB: %w", profile.Name, err)
	}
	if _, err := DivideTaskManager(profile.TaskManager.MemoryMiB, spec.ManagedState()); err != nil {
		return fmt.Errorf("profile %s: taskManager.memoryMiB: %w", profile.Name, err)
	}
	if profile.TaskManager.Replicas < 1 || profile.TaskManager.Slots < 1 {
		return fmt.Errorf("profile %s: taskManager.replicas and slots must be at least 1", profile.Name)
	}
	if profile.Parallelism > profile.Slots() {
		return fmt.Errorf("profile %s: parallelism %d needs more than its %d slots", profile.Name, profile.Parallelism, profile.Slots())
	}
	return nil
}
