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

func TestSavepointsAreFoundByWhoMadeThem(t *testing.T) {
	ctx, client, flink, uid := t.Context(), connect(t), raw(t, "flink"), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	root := job.SavepointsDirectory(uid)
	save := func(name string, id int64, whole bool) string {
		directory := path.Join(root, name)
		require.NoError(t, flink.MkdirAll(directory, 0o775))
		if whole {
			lay(t, flink, path.Join(directory, metadataName), header(id))
		}
		return "hdfs://" + address(t) + directory
	}
	older, newer := save("01A-savepoint-1/savepoint-aaaaaa-1", 3, true), save("01B-stop-1/savepoint-aaaaaa-2", 9, true)
	other := save("01C-stop-1/savepoint-bbbbbb-1", 20, true)
	save("01D-stop-1/savepoint-aaaaaa-3", 30, false)
	save("01E-stop-1/savepoint-cccccc-1", 40, true)
	save("01F-foreign-1", 50, true)
	made := []string{"savepoint-aaaaaa-", "savepoint-bbbbbb-"}
	found, err := client.FindSavepoints(ctx, "hdfs://"+address(t)+root, made, 10)
	require.NoError(t, err)
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Location
	}
	require.Equal(t, []string{newer, older, other}, names)
	found, err = client.FindSavepoints(ctx, root, made, 1)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.EqualValues(t, 9, found[0].CheckpointID)
	found, err = client.FindSavepoints(ctx, job.SavepointsDirectory(newUID(t)), made, 10)
	require.NoError(t, err)
	require.Empty(t, found, "a job without the directory")
}
