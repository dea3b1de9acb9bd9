//go:build contract

package hdfs

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/snapshot"
)

func TestVerifyLooksForTheFilesOfASnapshot(t *testing.T) {
	ctx, client, flink, uid := t.Context(), connect(t), raw(t, "flink"), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	content, err := os.ReadFile("../snapshot/testdata/flink-1.20.5-rocksdb-native/_metadata")
	require.NoError(t, err)
	_, files, err := snapshot.Files(bytes.NewReader(content))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	try := job.SavepointDirectory(uid, "01OP", "stop", 1)
	directory := try + "/savepoint-1"
	require.NoError(t, flink.MkdirAll(directory, 0o775))
	seen := map[string]bool{}
	for _, f := range files {
		if !seen[f.Path] {
			seen[f.Path] = true
			lay(t, flink, path.Join(directory, f.Path), make([]byte, f.Bytes))
		}
	}
	lay(t, flink, path.Join(directory, metadataName), content)
	found, err := client.VerifyMetadata(ctx, "hdfs://"+address(t)+directory)
	require.NoError(t, err)
	require.EqualValues(t, len(content), found.Bytes)

	lost := path.Join(directory, files[0].Path)
	require.NoError(t, flink.Remove(lost))
	_, err = client.VerifyMetadata(ctx, directory)
	require.Equal(t, failure.Incompatible, failure.CodeOf(err))
	require.ErrorContains(t, err, lost)
	newest, err := client.FindMetadata(ctx, try)
	require.NoError(t, err, "none older takes its place unseen")
	require.Equal(t, directory, newest.Location)
	lay(t, flink, lost, nil)
	_, err = client.VerifyMetadata(ctx, directory)
	require.ErrorContains(t, err, "that has 0")
}

// A directory of more pages than one.
func TestLengthsOfAFullDirectory(t *testing.T) {
	ctx, client, flink, uid := t.Context(), connect(t), raw(t, "flink"), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	directory := path.Join(job.CheckpointDirectory(uid), "shared")
	require.NoError(t, flink.MkdirAll(directory, 0o775))
	asked := map[string]int64{"not there": 0}
	for i := range page + 2 {
		name := fmt.Sprint(i)
		require.NoError(t, flink.CreateEmptyFile(path.Join(directory, name)))
		if i%100 == 1 {
			asked[name] = 0
		}
	}
	lengths, err := client.lengths(ctx, directory, asked)
	require.NoError(t, err)
	require.Len(t, lengths, len(asked)-1)
	none, err := client.lengths(ctx, directory+"/gone", asked)
	require.NoError(t, err)
	require.Empty(t, none)
}
