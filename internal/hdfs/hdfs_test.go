package hdfs

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

func TestPath(t *testing.T) {
	for location, want := range map[string]string{
		"hdfs://nn:9000/sluice/jobs/a":   "/sluice/jobs/a",
		"/sluice/jobs/a":                 "/sluice/jobs/a",
		"/sluice/jobs/a/":                "/sluice/jobs/a",
		"hdfs://nn:9000":                 "",
		"/etc/passwd":                    "",
		"/sluice":                        "",
		"/sluice/../etc":                 "",
		"/sluice/jobs/%2e%2e/x":          "",
		"/sluice/jobs//a":                "",
		"/sluice/jobs/a\n":               "",
		"file:///sluice/jobs/a":          "",
		"hdfs://nn:9000/sluice/jobs/./a": "",
		"sluice/jobs/a":                  "",
		"":                               "",
	} {
		got, err := Path(location)
		require.Equal(t, want, got, location)
		if want == "" {
			require.Equal(t, failure.Invalid, failure.CodeOf(err), location)
		}
	}
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		err  error
		code failure.Code
	}{
		{&os.PathError{Op: "stat", Path: "/a", Err: os.ErrNotExist}, failure.NotFound},
		{&os.PathError{Op: "stat", Path: "/a", Err: os.ErrPermission}, failure.Forbidden},
		{&os.PathError{Op: "create", Path: "/a", Err: os.ErrExist}, failure.Conflict},
		{remote("org.apache.hadoop.hdfs.server.namenode.SafeModeException"), failure.Unavailable},
		{remote("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException"), failure.Refused},
		{remote("java.io.IOException"), failure.Unavailable},
		{errors.New("no available namenodes: connection refused"), failure.Unavailable},
		{errors.New("EOF"), failure.Unavailable},
		{failure.New(failure.Digest, "x"), failure.Digest},
		{nil, ""},
	} {
		require.Equal(t, c.code, failure.CodeOf(translate(c.err, "/a")), "%v", c.err)
	}
}

type remote string

func (r remote) Error() string     { return string(r) }
func (r remote) Method() string    { return "m" }
func (r remote) Desc() string      { return "d" }
func (r remote) Exception() string { return string(r) }
func (r remote) Message() string   { return "message\n\tat line" }

// A NameNode that takes connections and never answers must not hold a caller.
func TestFrozenNameNode(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	client, err := New(Config{Addresses: []string{listener.Addr().String()}, User: "sluice", Timeout: 150 * time.Millisecond})
	require.NoError(t, err)
	defer func() { _ = client.Close() }()

	_, err = client.Stat(context.Background(), "shop", "sha256:"+sampleDigest)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	_, err = client.VerifyMetadata(context.Background(), "/sluice/jobs/x/savepoints/y")
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
}

// Nor does a context that ends before the wire's own deadline.
func TestContextCutsOffFrozenNameNode(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	client, err := New(Config{Addresses: []string{listener.Addr().String()}, User: "sluice", Timeout: time.Hour})
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()

	_, err = client.Stat(ctx, "shop", "sha256:"+sampleDigest)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestNameNodeAway(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	client, err := New(Config{Addresses: []string{listener.Addr().String()}, User: "sluice"})
	require.NoError(t, err)
	_, err = client.Stat(context.Background(), "shop", "sha256:"+sampleDigest)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err), "away is not absent: %v", err)
}

const sampleDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
