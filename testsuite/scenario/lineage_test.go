//go:build scenario

package scenario_test

import (
	"net/http"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/testsuite/checker"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// startFromOlder: the second revision published between two savepoints. A start
// from the first one publishes just that again, as its plan says, and the branch
// that was left is never taken by itself.
func startFromOlder(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	first := w.Run(Request(job.Stop)).Progress.Savepoint
	w.Apply(V2)
	w.Run(Request(job.Start))
	w.Records(w.Report().Records + 300)
	second := w.Run(Request(job.Stop)).Progress.Savepoint
	requirePublished(t, w)
	left := w.Report()
	require.Subset(t, snapshotPaths(w), []string{first, second}, "what may be chosen is listed")

	older := Request(job.Start)
	older.Revision, older.FromSnapshot = 1, first
	var plan upgrade.Plan
	w.Want(http.StatusOK, http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(t, older, nil), &plan)
	require.NotNil(t, plan.Replay)
	stated := &upgrade.Replay{From: first, To: second, Epoch: 2, CheckpointID: plan.Replay.CheckpointID}
	require.Equal(t, stated, plan.Replay)
	older.PlanDigest = plan.Digest
	o := w.Run(older)
	require.Equal(t, stated, o.Progress.Plan.Replay)
	require.Equal(t, first, w.Lease().Intent.RestorePath, "no copy")
	require.Equal(t, "restored from "+first+", at parallelism 2", Detail(o.Progress, "run"))
	w.Records(left.Records + written(t, left, "v2") + 300)
	last := w.Run(Request(job.Stop)).Progress.Savepoint
	w.GreenRepeated("v2", "v1", "v2")

	var next upgrade.Plan
	w.Want(http.StatusOK, http.MethodPost, "/jobs/"+w.Name+"/plans", planBody(t, Request(job.Start), nil), &next)
	require.Equal(t, last, next.RestorePath)
	require.Nil(t, next.Replay)
}

// snapshotFileGone: a savepoint keeps its _metadata and loses a file. Nothing is
// made, nothing older is taken; the refusal names both.
func snapshotFileGone(t *testing.T) {
	w := Given(t, "shop")
	files := V1
	files.Options = map[string]string{"state.storage.fs.memory-threshold": "0 b"} // else so little state lies in _metadata
	w.Running(files)
	older := w.Run(Request(job.Savepoint)).Progress.Savepoint
	newest := w.Run(Request(job.Stop)).Progress.Savepoint

	directory := hdfsPath(t, newest)
	var lost string
	for _, name := range w.Files(directory) {
		if name != "_metadata" {
			lost = path.Join(directory, name)
		}
	}
	require.NotEmpty(t, lost, "the savepoint has files")
	kept := "/data/scenario/" + w.Name + "/kept"
	require.NoError(t, w.HDFS.Rename(lost, kept))
	refused := w.Fails(Request(job.Start)).Progress
	require.Equal(t, failure.Refused, refused.Failure.Code)
	require.Contains(t, refused.Failure.Message, lost+" with ")
	require.Contains(t, refused.Failure.Message, "that is not there")
	require.Contains(t, refused.Failure.Next, "--from-snapshot "+older)
	require.Equal(t, "plan", refused.Steps[len(refused.Steps)-1].Name)
	require.Zero(t, w.Lease().ActiveGeneration(), "nothing was made")
	require.EqualValues(t, 1, w.Lease().Epoch, "nothing was submitted")

	require.NoError(t, w.HDFS.Rename(kept, lost))
	again := w.Run(Request(job.Start))
	require.Equal(t, newest, again.Progress.Plan.RestorePath)
	w.Records(600)
	w.Run(Request(job.Stop))
	w.Green("v1")
}

// snapshotPaths is the ledger, as `sluice get snapshots` shows it.
func snapshotPaths(w *World) (all []string) {
	var list struct {
		Items []struct {
			Path string `json:"path"`
		} `json:"items"`
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name+"/snapshots", nil, &list)
	for _, s := range list.Items {
		all = append(all, s.Path)
	}
	return all
}

// written is how many numbers a version wrote.
func written(t *testing.T, report checker.Report, version string) int64 {
	t.Helper()
	for _, v := range report.Versions {
		if v.Version == version {
			return v.Records
		}
	}
	require.Fail(t, "it wrote nothing", version)
	return 0
}
