//go:build contract

package hdfs

import (
	"bytes"
	"os"
	"path"
	"testing"

	colinmarc "github.com/colinmarc/hdfs/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

// handOver lays a snapshot of Flink's own below a root, with a file of some bytes
// for each that it names.
func handOver(t *testing.T, h *colinmarc.Client, kind string) (directory string, named []string) {
	t.Helper()
	content, err := os.ReadFile("../snapshot/testdata/" + kind + "/_metadata")
	require.NoError(t, err)
	root := "/data/foreign-" + ulid.Make().String()
	directory = root + "/sp"
	require.NoError(t, h.MkdirAll(directory, 0o755))
	t.Cleanup(func() { _ = h.RemoveAll(root) })
	_, files, err := snapshot.Files(bytes.NewReader(content))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, f := range files {
		if f.Relative && !seen[f.Path] {
			seen[f.Path] = true
			named = append(named, f.Path)
			lay(t, h, path.Join(directory, f.Path), bytes.Repeat([]byte{7}, int(f.Bytes)))
		}
	}
	lay(t, h, path.Join(directory, metadataName), content)
	return directory, named
}

func lay(t *testing.T, h *colinmarc.Client, name string, content []byte) {
	t.Helper()
	w, err := h.Create(name)
	require.NoError(t, err)
	if len(content) > 0 { // a write of nothing begins a block that never ends
		_, err = w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, closeFully(t.Context(), w))
}

func TestCopyForeign(t *testing.T) {
	client, flink := connect(t), raw(t, "flink")
	directory, named := handOver(t, flink, "flink-1.20.5-rocksdb-native")
	require.Greater(t, len(named), 1)
	door := Door{FS: "hdfs://" + address(t), Roots: []string{path.Dir(directory)}}
	uid, operation := newUID(t), ulid.Make().String()
	require.NoError(t, client.MakeJobDirectories(t.Context(), uid))
	target := ForeignDirectory(uid, operation)

	// A try that was cut off left one file whole and one begun.
	h := raw(t, "sluice")
	require.NoError(t, h.MkdirAll(target+unfinished, 0o755))
	info, err := flink.Stat(path.Join(directory, named[0]))
	require.NoError(t, err)
	mark := bytes.Repeat([]byte{9}, int(info.Size()))
	lay(t, h, path.Join(target+unfinished, named[0]), mark)
	lay(t, h, path.Join(target+unfinished, named[1]), nil)

	var told, all int64
	copied, err := client.CopyForeign(t.Context(), door, door.FS+directory, uid, operation, func(done, of int64) {
		require.GreaterOrEqual(t, done, told)
		told, all = done, of
	})
	require.NoError(t, err)
	require.Equal(t, target, copied.Directory)
	require.Equal(t, all, told)
	require.Equal(t, copied.Bytes, all)
	require.Len(t, copied.Files, len(named)+1)
	kept, err := h.ReadFile(path.Join(target, named[0]))
	require.NoError(t, err)
	require.Equal(t, mark, kept, "what was whole is not copied again")
	again, err := flink.ReadFile(path.Join(target, named[1]))
	require.NoError(t, err, "Flink can read it")
	original, err := flink.ReadFile(path.Join(directory, named[1]))
	require.NoError(t, err)
	require.Equal(t, original, again)
	found, err := client.VerifyMetadata(t.Context(), target)
	require.NoError(t, err)
	require.Equal(t, copied.CheckpointID, found.CheckpointID)

	// A repeat needs the original no more.
	require.NoError(t, flink.RemoveAll(directory))
	repeated, err := client.CopyForeign(t.Context(), door, door.FS+directory, uid, operation, func(int64, int64) {})
	require.NoError(t, err)
	require.Equal(t, copied, repeated)

	require.NoError(t, client.RemoveForeign(t.Context(), uid, operation))
	require.NoError(t, client.RemoveForeign(t.Context(), uid, operation), "a repeat")
	left, err := client.FindAnyMetadata(t.Context(), uid)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestInspectForeignRefuses(t *testing.T) {
	client, flink := connect(t), raw(t, "flink")
	inspect := func(directory string) error {
		_, err := client.InspectForeign(t.Context(), Door{FS: "hdfs://" + address(t), Roots: []string{path.Dir(directory)}}, directory)
		return err
	}
	shared, _ := handOver(t, flink, "flink-1.20.5-rocksdb-checkpoint")
	require.ErrorContains(t, inspect(shared), "is not self-contained")

	whole, named := handOver(t, flink, "flink-2.3.0-rocksdb-canonical")
	if len(named) == 0 {
		whole, named = handOver(t, flink, "flink-2.3.0-rocksdb-native")
	}
	require.NoError(t, inspect(whole))
	require.NoError(t, flink.Remove(path.Join(whole, named[0])))
	require.ErrorContains(t, inspect(whole), "is not there")

	open, _ := handOver(t, flink, "flink-2.3.0-hashmap-native")
	require.NoError(t, flink.Remove(path.Join(open, metadataName)))
	require.Equal(t, failure.NotFound, failure.CodeOf(inspect(open)))
	w, err := flink.Create(path.Join(open, metadataName))
	require.NoError(t, err)
	require.ErrorContains(t, inspect(open), "still being written")
	require.NoError(t, closeFully(t.Context(), w))
	require.Equal(t, failure.Incompatible, failure.CodeOf(inspect(open)), "it is empty")
}
