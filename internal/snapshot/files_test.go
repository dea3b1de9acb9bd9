package snapshot_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/snapshot"
)

// What Flink's own snapshots name: a savepoint only what lies beside it, if
// anything (small state is in its _metadata); an incremental or merged checkpoint
// also what others share.
func TestFilesOfRealOnes(t *testing.T) {
	files, err := filepath.Glob("testdata/*/_metadata")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(filepath.Base(filepath.Dir(name)), func(t *testing.T) {
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			parsed, found, err := snapshot.Files(bytes.NewReader(content))
			require.NoError(t, err)
			plain, err := snapshot.Parse(bytes.NewReader(content))
			require.NoError(t, err)
			require.Equal(t, plain, parsed)
			elsewhere := 0
			for _, f := range found {
				if !f.Relative {
					elsewhere++
					require.Contains(t, f.Path, ":/", "an address")
				} else {
					require.NotContains(t, f.Path, "/", "a name")
				}
			}
			switch kind := filepath.Base(filepath.Dir(name)); {
			case strings.HasSuffix(kind, "rocksdb-checkpoint"), strings.HasSuffix(kind, "merged-checkpoint"):
				require.Positive(t, elsewhere)
			case !strings.HasSuffix(kind, "-checkpoint"):
				require.Zero(t, elsewhere, "a savepoint is self-contained")
			}
		})
	}
}

func TestFilesAreBounded(t *testing.T) {
	subtask := new(java).put(0, 0, 0)
	one := new(java)
	relative(one)
	j := head(4, 1).put(idA, 1, 1, byte(0), 1, subtask.Bytes())
	j.put(byte(11), int64(6), "backend", 0, 128, int64(5), byte(0), snapshot.MaxFiles+1)
	for i := range snapshot.MaxFiles + 1 {
		j.put(fmt.Sprint(i), one.Bytes())
	}
	_, found, err := snapshot.Files(bytes.NewReader(j.Bytes()))
	var format *snapshot.FormatError
	require.ErrorAs(t, err, &format)
	require.ErrorContains(t, err, "names more than 500000 files")
	require.Len(t, found, snapshot.MaxFiles)
}

// BenchmarkFiles is what reading the _metadata of 50,000 files costs.
func BenchmarkFiles(b *testing.B) {
	const files = 50_000
	subtask := new(java).put(0, 0, 0)
	j := head(4, 1).put(idA, 1, 1, byte(0), 1, subtask.Bytes())
	one := new(java)
	relative(one)
	j.put(byte(11), int64(6), "backend", 0, 128, int64(5), byte(0), files)
	for i := range files {
		j.put(fmt.Sprint(i), one.Bytes())
	}
	content := j.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = snapshot.Files(bytes.NewReader(content))
	}
	b.SetBytes(int64(len(content)))
}
