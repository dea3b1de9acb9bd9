package hdfs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/snapshot"
)

func TestTheDoorForForeignSnapshots(t *testing.T) {
	door := Door{FS: "hdfs://nn:8020", Roots: []string{"/data/handed-over", "/exports"}}
	for location, want := range map[string]string{
		"hdfs://nn:8020/data/handed-over/a/sp-1":           "/data/handed-over/a/sp-1",
		"hdfs://nn:8020/data/handed-over/a/sp-1/":          "/data/handed-over/a/sp-1",
		"hdfs://nn:8020/data/handed-over/a/sp-1/_metadata": "/data/handed-over/a/sp-1",
		"/exports/x":                            "/exports/x",
		"/exports":                              "",
		"/exportsx/y":                           "",
		"/data/handed-over":                     "",
		"/data/handed-over/_metadata":           "", // the root itself
		"/data/other/sp":                        "",
		"/sluice/jobs/U/savepoints/x/savepoint": "",
		"/exports/../sluice/jobs/U/savepoints":  "",
		"/exports//x":                           "",
		"/exports/./x":                          "",
		"/exports/%2e%2e/x":                     "",
		"/exports/a\nb":                         "",
		"/exports/*":                            "",
		"/exports/a\\b":                         "",
		"exports/x":                             "",
		"hdfs://other:8020/exports/x":           "",
		"hdfs://nn:8020@evil:1/exports/x":       "",
		"hdfs://nn:9000/exports/x":              "",
		"hdfs:///exports/x":                     "",
		"file:///exports/x":                     "",
		"s3://bucket/exports/x":                 "",
		"webhdfs://nn:8020/exports/x":           "",
		"/exports/" + strings.Repeat("x", 2000): "",
	} {
		got, err := door.directory(location)
		require.Equal(t, want, got, location)
		if want == "" {
			require.Contains(t, []failure.Code{failure.Invalid, failure.Refused}, failure.CodeOf(err), location)
		}
	}
	_, err := Door{FS: "hdfs://nn:8020"}.directory("/exports/x")
	require.Contains(t, failure.Of(err).Next, "snapshotRoots", "nothing is allowed where nothing is configured")
}

func TestOnlyWhatLiesBesideIsCopied(t *testing.T) {
	there := map[string]int64{"a": 10, "b": 5, metadataName: 100, "left over": 7}
	own := func(name string, bytes int64) snapshot.File {
		return snapshot.File{Path: name, Relative: true, Bytes: bytes}
	}
	files, err := beside("/x/_metadata", []snapshot.File{own("b", 5), own("a", 9), own("a", 10)}, there)
	require.NoError(t, err)
	require.Equal(t, []ForeignFile{{"a", 10}, {"b", 5}, {metadataName, 100}}, files, "_metadata last, each once")
	for name, named := range map[string]snapshot.File{
		"is not self-contained":     {Path: "hdfs://nn/checkpoints/shared/s", Bytes: 1},
		"is not there":              own("c", 1),
		"that has 10":               own("a", 11),
		`no name beside it: "../a"`: own("../a", 1),
		`no name beside it: "/a"`:   own("/a", 1),
		`no name beside it: ".."`:   own("..", 1),
		`"_metadata"`:               own(metadataName, 1),
		`"a\nb"`:                    own("a\nb", 1),
	} {
		_, err := beside("/x/_metadata", []snapshot.File{own("b", 5), named}, there)
		require.Equal(t, failure.Incompatible, failure.CodeOf(err), name)
		require.ErrorContains(t, err, name)
	}
}
