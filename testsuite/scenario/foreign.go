package scenario

import (
	"io"
	"os"
	"path"
	"time"

	"github.com/stretchr/testify/require"
)

// Successor is another job, with a name, uid and state of its own, that writes on
// where this one ended.
func (w *World) Successor() *World {
	w.T.Helper()
	next := Given(w.T, w.Tenant)
	next.home = w.Name
	return next
}

// HandedOver is a directory below the root from which starts of the tenant "shop"
// may take snapshots (deploy/local/worker.yaml).
func (w *World) HandedOver() string {
	w.T.Helper()
	directory := "/data/handed-over/" + w.Name
	require.NoError(w.T, w.HDFS.MkdirAll(directory, 0o755))
	w.T.Cleanup(func() { _ = w.HDFS.RemoveAll(directory) })
	return directory
}

// Files lists the names in a directory of HDFS.
func (w *World) Files(directory string) []string {
	w.T.Helper()
	entries, err := w.HDFS.ReadDir(directory)
	require.NoError(w.T, err)
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// CopyDirectory copies the files of a directory of HDFS, as somebody would by
// hand.
func (w *World) CopyDirectory(from, to string) {
	w.T.Helper()
	require.NoError(w.T, w.HDFS.MkdirAll(to, os.FileMode(0o755)))
	for _, name := range w.Files(from) {
		in, err := w.HDFS.Open(path.Join(from, name))
		require.NoError(w.T, err)
		content, err := io.ReadAll(in)
		require.NoError(w.T, err)
		require.NoError(w.T, in.Close())
		out, err := w.HDFS.Create(path.Join(to, name))
		require.NoError(w.T, err)
		if len(content) > 0 { // a write of nothing begins a block that never ends
			_, err = out.Write(content)
			require.NoError(w.T, err)
		}
		w.Until("the copy is closed", 20*time.Second, func() bool { return out.Close() == nil })
	}
}
