package hdfs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

const (
	nn     = "hdfs://nn:8020"
	chk    = "/sluice/jobs/U/checkpoints/f00/chk-9"
	shared = "/sluice/jobs/U/checkpoints/f00/shared"
)

// disk answers as HDFS does and counts what it was asked.
type disk struct {
	lengths map[string]map[string]int64
	asked   []string
}

func (d *disk) list(directory string, _ map[string]int64) (map[string]int64, error) {
	d.asked = append(d.asked, directory)
	return d.lengths[directory], nil
}

func incrementalFiles() []snapshot.File {
	return []snapshot.File{
		{Path: "own", Relative: true, Bytes: 5}, {Path: nn + chk + "/private", Bytes: 6},
		{Path: nn + shared + "/a", Bytes: 10}, {Path: nn + shared + "/b", Bytes: 0}, {Path: nn + shared + "/a", Bytes: 8},
	}
}

func wholeDisk() *disk {
	return &disk{lengths: map[string]map[string]int64{chk: {"own": 5, "private": 7}, shared: {"a": 10, "b": 0}}}
}

func TestASnapshotIsWholeWithAllItsFiles(t *testing.T) {
	for _, location := range []string{nn + chk, chk} {
		needed, err := nameFiles(location, incrementalFiles())
		require.NoError(t, err)
		there := wholeDisk()
		require.NoError(t, needed.prove(chk, there.list))
		require.Equal(t, []string{chk, shared}, there.asked, "one listing a directory")
	}
}

func TestASnapshotThatLacksAFileIsNone(t *testing.T) {
	for name, broken := range map[string]func(*disk){
		chk + "/own with 5 bytes of state, but that is not there":     func(d *disk) { delete(d.lengths[chk], "own") },
		chk + "/private with 6 bytes of state, but that has 1":        func(d *disk) { d.lengths[chk]["private"] = 1 },
		shared + "/a with 10 bytes of state, but that has 9":          func(d *disk) { d.lengths[shared]["a"] = 9 },
		shared + "/b with 0 bytes of state, but that is not there":    func(d *disk) { delete(d.lengths[shared], "b") },
		shared + "/a with 10 bytes of state, but that is not there\n": func(d *disk) { delete(d.lengths, shared) },
	} {
		needed, err := nameFiles(nn+chk, incrementalFiles())
		require.NoError(t, err)
		there := wholeDisk()
		broken(there)
		err = needed.prove(chk, there.list)
		require.Equal(t, failure.Incompatible, failure.CodeOf(err), name)
		require.ErrorContains(t, err, string(bytes.TrimSpace([]byte(name))))
		require.Contains(t, failure.Of(err).Next, "restore from another one")
	}
	away := failure.New(failure.Unavailable, "HDFS is away")
	needed, err := nameFiles(nn+chk, incrementalFiles())
	require.NoError(t, err)
	require.Equal(t, away, needed.prove(chk, func(string, map[string]int64) (map[string]int64, error) { return nil, away }), "away is no answer")
}

// What can't be looked for isn't called whole.
func TestAFileElsewhereProvesNothing(t *testing.T) {
	for _, f := range []snapshot.File{
		{Path: "hdfs://other:8020/sluice/x"}, {Path: "file:/tmp/x"}, {Path: "s3://bucket/x"}, {Path: "/sluice/x"}, {Path: nn + "/a/../b"},
		{Path: "../chk-8/own", Relative: true}, {Path: "a\nb", Relative: true}, {Path: ".", Relative: true},
	} {
		_, err := nameFiles(nn+chk, []snapshot.File{f})
		require.Equal(t, failure.Incompatible, failure.CodeOf(err), f.Path)
	}
}

// What Flink itself wrote names files that can be looked for, in a few
// directories.
func TestRealSnapshotsNameTheirFiles(t *testing.T) {
	kinds, err := filepath.Glob("../snapshot/testdata/*/_metadata")
	require.NoError(t, err)
	require.NotEmpty(t, kinds)
	for _, kind := range kinds {
		content, err := os.ReadFile(kind)
		require.NoError(t, err)
		_, files, err := snapshot.Files(bytes.NewReader(content))
		require.NoError(t, err)
		at := ""
		for i := range files { // they were written to a local disk
			if rest, local := bytes.CutPrefix([]byte(files[i].Path), []byte("file:")); local {
				files[i].Path, at = nn+string(rest), nn
			}
		}
		needed, err := nameFiles(at+chk, files)
		require.NoError(t, err, kind)
		there := &disk{lengths: needed}
		require.NoError(t, needed.prove(chk, there.list))
		require.LessOrEqual(t, len(there.asked), 3, "%s: %v", kind, slices.Collect(maps.Keys(needed)))
	}
}

// BenchmarkProve is what the files of a large incremental checkpoint cost between
// stop and submission, without the NameNode's own time.
func BenchmarkProve(b *testing.B) {
	files := make([]snapshot.File, 50_000)
	for i := range files {
		files[i] = snapshot.File{Path: fmt.Sprintf("%s%s/%08x-dead-beef-cafe-%012d", nn, shared, i, i), Bytes: 64 << 20}
	}
	needed, err := nameFiles(nn+chk, files)
	require.NoError(b, err)
	there := &disk{lengths: needed}
	b.ReportAllocs()
	for b.Loop() {
		needed, err := nameFiles(nn+chk, files)
		if err == nil {
			err = needed.prove(chk, there.list)
		}
		require.NoError(b, err)
	}
}
