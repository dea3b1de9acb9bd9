//go:build scenario

package scenario_test

import (
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// foreignSavepoint: a job ended, and its savepoint was carried elsewhere. A job of
// another name and uid goes on from it, and keeps a copy of its own.
func foreignSavepoint(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(V1)
	w.Run(Request(job.Start))
	w.Records(300)
	stopped := w.Run(Request(job.Stop))
	original := hdfsPath(t, stopped.Progress.Savepoint)
	fs := strings.TrimSuffix(stopped.Progress.Savepoint, original)
	elsewhere := path.Join(w.HandedOver(), "savepoint")
	w.CopyDirectory(original, elsewhere)

	next := w.Successor()
	next.Apply(V2)
	from := func(location string) job.Request {
		request := Request(job.Start)
		request.FromSnapshot = location
		return request
	}
	refused := func(location, why string) {
		t.Helper()
		o := next.Fails(from(location))
		require.Equal(t, failure.Refused, o.Progress.Failure.Code)
		require.Contains(t, o.Progress.Failure.Message, why)
		require.NotEmpty(t, o.Progress.Failure.Next)
		require.Equal(t, "plan", o.Progress.Steps[len(o.Progress.Steps)-1].Name, "it went no further")
	}
	answer := next.Call(http.MethodPost, "/jobs/"+next.Name+"/operations", from(fs+"/data/handed-over/../scenario/x"))
	require.Equal(t, http.StatusUnprocessableEntity, answer.Status, string(answer.Body))
	refused(stopped.Progress.Savepoint, "may not be taken over") // another job's own
	refused("hdfs://elsewhere:8020"+elsewhere, "this site's file system is")
	metadata := path.Join(elsewhere, "_metadata")
	require.NoError(t, w.HDFS.Rename(metadata, metadata+"-away"))
	refused(fs+elsewhere, "_metadata")
	require.NoError(t, w.HDFS.Rename(metadata+"-away", metadata))

	o := next.Run(from(fs + elsewhere))
	require.Contains(t, o.Progress.Plan.Restore, "a copy of "+fs+elsewhere)
	require.NotEmpty(t, Detail(o.Progress, "copy"))
	restored := hdfsPath(t, next.Lease().Intent.RestorePath)
	require.Equal(t, path.Join(job.SavepointsDirectory(next.UID()), o.Operation+"-foreign-1"), restored)
	require.ElementsMatch(t, next.Files(elsewhere), next.Files(restored))
	require.NoError(t, w.HDFS.RemoveAll(elsewhere), "nobody needs the original any more")
	next.Records(900)

	// From now on it has a lineage of its own.
	last := next.Run(Request(job.Stop))
	again := next.Run(Request(job.Start))
	require.Equal(t, last.Progress.Savepoint, again.Progress.Plan.RestorePath)
	next.Records(1200)
	next.Run(Request(job.Stop))
	next.Green("v1", "v2")
	_, err := w.HDFS.Stat(elsewhere)
	require.True(t, os.IsNotExist(err))
}
