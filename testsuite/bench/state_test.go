//go:build bench

package bench_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	"sluice/testsuite/bench"
	"sluice/testsuite/checker"
	"sluice/testsuite/scenario"
)

// roomy holds a GiB of state: in RocksDB, whose memory is a quarter of the
// TaskManager's; the rest of the state lies on the node's disk.
var roomy = job.Profile{
	Name:        "roomy",
	JobManager:  scenario.Small.JobManager,
	TaskManager: job.TaskManager{Role: job.Role{CPU: "200m", MemoryMiB: 2048, JVM: job.QuickStart}, Replicas: 1, Slots: 2},
	Parallelism: 2,
}

// heavy is a version whose job fills up that much state. Its checkpoints write
// what is new only: each second of a full one would be 70 MB on HDFS.
func heavy(v scenario.Version, bytes int64) scenario.Version {
	v = v.With("--state-bytes", fmt.Sprint(bytes))
	v.Interval = "5 s"
	v.Options = map[string]string{"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"}
	return v
}

// upgradeLargeState is one warm upgrade of such a job. What it keeps on HDFS, some
// five times the state, is removed.
func upgradeLargeState(t *testing.T, bytes int64) *bench.LargeState {
	w := scenario.Given(t, "shop")
	w.Apply(heavy(scenario.V1, bytes))
	w.Profile(roomy)
	start := scenario.Request(job.Start)
	start.Profile = roomy.Name
	w.Run(start)
	directory := job.Directory(w.UID())
	filled(w, bytes)

	w.Apply(heavy(scenario.V2, bytes))
	request := scenario.Request(job.Upgrade)
	began := time.Now()
	o := w.Run(request)
	found := bench.LargeState{Bytes: bytes, WholeMS: (time.Since(began) - time.Duration(request.Soak())*time.Second).Milliseconds()}
	_, err := fmt.Sscanf(scenario.Detail(o.Progress, "stop"), "savepoint %d ms", &found.SavepointMS)
	require.NoError(t, err)
	savepoint, err := url.Parse(o.Progress.Savepoint)
	require.NoError(t, err)
	summary, err := w.HDFS.GetContentSummary(savepoint.Path)
	require.NoError(t, err)
	found.SavepointBytes = summary.Size()
	require.GreaterOrEqual(t, found.SavepointBytes, bytes, "the state was not all there")

	w.Run(scenario.Request(job.Stop))
	found.PauseMS = w.Green("v1", "v2").Trace.HandOvers[0].PauseMillis
	if err := w.HDFS.RemoveAll(directory); err != nil {
		w.Say("%s stays on HDFS: %v", directory, err)
	}
	return &found
}

// filled waits until the job has read what its state takes: 256 KiB a record, and
// its keys by turns (java/jobs, Count).
func filled(w *scenario.World, bytes int64) {
	const keys, aRecord = 100, 32 * 8192
	records := keys * (bytes/keys/aRecord + 2)
	w.Until(fmt.Sprintf("the state is full after %d records", records), 5*time.Minute, func() bool {
		report, err := checker.Check(w.T.Context(), checker.HDFS(w.HDFS), checker.Options{Output: w.Output()})
		return err == nil && report.Records >= records
	})
}
