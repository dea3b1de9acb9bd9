//go:build scenario

package scenario_test

import (
	"encoding/binary"
	"io"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

const (
	flink1 = "1.20.5"
	flink2 = "2.3.0"
)

// format is that of a snapshot's _metadata, as its writer chose it.
func format(w *World, snapshot string) uint32 {
	w.T.Helper()
	file, err := w.HDFS.Open(path.Join(hdfsPath(w.T, snapshot), "_metadata"))
	require.NoError(w.T, err)
	defer func() { _ = file.Close() }()
	header := make([]byte, 8)
	_, err = io.ReadFull(file, header)
	require.NoError(w.T, err)
	return binary.BigEndian.Uint32(header[4:])
}

func upgradeEngine(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.On(flink1))
	w.Apply(V2.On(flink2))
	o := w.Run(Request(job.Upgrade))
	require.Equal(t, "engine", o.Progress.Plan.Changes[0].Field)
	require.Len(t, w.Savepoints(), 1)
	require.EqualValues(t, 4, format(w, o.Progress.Savepoint), "written by 1.20")
	w.Records(1200)
	// The newer engine stops and continues by itself too.
	stopped := w.Run(Request(job.Stop))
	require.EqualValues(t, 6, format(w, stopped.Progress.Savepoint), "written by 2.3")
	again := w.Run(Request(job.Start))
	require.Equal(t, stopped.Progress.Savepoint, again.Progress.Plan.RestorePath)
	w.Records(1800)
	w.Run(Request(job.Stop))
	report := w.Green("v1", "v2")
	require.Len(t, report.Trace.HandOvers, 2)
	require.Positive(t, report.Trace.HandOvers[0].PauseMillis, "never two copies at a time")
}

func engineBack(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1.On(flink2))
	before := w.Lease()
	w.Apply(V2.On(flink1))
	refuses := func(request job.Request) {
		t.Helper()
		o := w.Fails(request)
		require.Equal(t, failure.Refused, o.Progress.Failure.Code)
		require.Contains(t, o.Progress.Failure.Message, "flink 1.20.5 can't restore state that flink 2.3.0 wrote")
		require.Contains(t, o.Progress.Failure.Next, "--stateless")
		require.Equal(t, "plan", o.Progress.Steps[len(o.Progress.Steps)-1].Name, "it went no further")
	}
	refuses(Request(job.Upgrade))
	require.Equal(t, before, w.Lease(), "nothing was touched")
	require.Empty(t, w.Savepoints())
	w.Records(900)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1, "the job ran through")

	// Stopped, it is the same; whoever may leave the state behind can.
	refuses(Request(job.Start))
	require.EqualValues(t, 1, w.Lease().Epoch, "nothing was submitted")
	stateless := Request(job.Start)
	stateless.Stateless = true
	w.Run(stateless)
	require.EqualValues(t, 2, w.Lease().Epoch)
	w.Remove()
}
