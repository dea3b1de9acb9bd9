//go:build contract

package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	colinmarc "github.com/colinmarc/hdfs/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
)

// Dependencies get their names when their digests are proven, and not before.
func TestFetchProvesWhatItBrings(t *testing.T) {
	address := os.Getenv("SLUICE_HDFS")
	require.NotEmpty(t, address, "set SLUICE_HDFS to a NameNode's host:port")
	tenant := "t" + strings.ToLower(ulid.Make().String())
	files, err := hdfs.New(hdfs.Config{Addresses: []string{address}, User: "sluice"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = files.Close() })
	raw, err := colinmarc.NewClient(colinmarc.ClientOptions{Addresses: []string{address}, User: "sluice"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.RemoveAll(path.Join(job.ArtifactsRoot, tenant)); _ = raw.Close() })
	var digests []string
	for _, content := range []string{"a connector", "a format"} {
		stored, err := files.Put(t.Context(), tenant, bytes.NewReader([]byte(content)), hdfs.PutOptions{})
		require.NoError(t, err)
		digests = append(digests, stored.Digest)
	}
	assignment := agentapi.Assignment{Tenant: tenant, HDFS: agentapi.HDFS{NameNodes: []string{address}, User: "sluice"}}
	log := slog.New(slog.DiscardHandler)
	directory := t.TempDir()
	for range 2 { // the kubelet may run it again
		require.NoError(t, Fetch(t.Context(), assignment, directory, digests, log))
	}
	for i, content := range []string{"a connector", "a format"} {
		got, err := os.ReadFile(filepath.Join(directory, strings.TrimPrefix(digests[i], "sha256:")+".jar"))
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}

	absent := "sha256:" + strings.Repeat("0a", 32)
	err = Fetch(t.Context(), assignment, t.TempDir(), []string{absent}, log)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	require.ErrorContains(t, err, absent)

	damaged := job.ArtifactPath(tenant, strings.TrimPrefix(digests[1], "sha256:"))
	require.NoError(t, raw.Rename(job.ArtifactPath(tenant, strings.TrimPrefix(digests[0], "sha256:")), damaged))
	empty := t.TempDir()
	err = Fetch(t.Context(), assignment, empty, digests[1:], log)
	require.Equal(t, failure.Digest, failure.CodeOf(err))
	require.ErrorContains(t, err, digests[1])
	left, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, left)
}
