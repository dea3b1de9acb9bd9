package job_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

func TestIdsAreTheDocumentedHashes(t *testing.T) {
	want := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:16])
	}
	require.Equal(t, want("01J/7"), job.FlinkJobID("01J", 7))
	require.Equal(t, want("OP/stop/1"), job.TriggerID("OP", "stop", 1))
	require.Equal(t, want("01J/3/primer/1"), job.PrimerID("01J", 3, 1))
	require.NotEqual(t, job.FlinkJobID("01J", 7), job.FlinkJobID("01J", 8))
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "orders", "a1-b2"} {
		require.Empty(t, job.CheckName(good), good)
	}
	for _, bad := range []string{"", "A", "1a", "a-", "-a", "a.b", "a/b", "..", "a b", "abcdefghijklmnopqrstuvwxyzabcde"} {
		require.NotEmpty(t, job.CheckName(bad), bad)
	}
}

func TestParseDigest(t *testing.T) {
	hexPart := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	got, err := job.ParseDigest("sha256:" + hexPart)
	require.NoError(t, err)
	require.Equal(t, hexPart, got)
	for _, bad := range []string{"", hexPart, "sha256:" + hexPart[1:], "sha256:../../etc", "sha512:" + hexPart} {
		_, err := job.ParseDigest(bad)
		require.Error(t, err, bad)
	}
}

func TestNamesOfSnapshotsTellWhoMadeThem(t *testing.T) {
	require.Equal(t, "savepoint-e2c142-", job.MadeBy(job.FlinkJobID("01M83VRR83FPMEVGF86E4QC70E", 1)), "as Flink named a real one")
	maker, id, ok := job.ParseCheckpoint("hdfs://nn:8020/sluice/jobs/U/checkpoints/f00/chk-12")
	require.True(t, ok)
	require.Equal(t, "f00", maker)
	require.EqualValues(t, 12, id)
	for _, other := range []string{"", "chk-", "/x/chk-1a", "/x/savepoint-f00-1", "/x/chk--"} {
		_, _, ok := job.ParseCheckpoint(other)
		require.False(t, ok, other)
	}
}
