//go:build contract

package hdfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	colinmarc "github.com/colinmarc/hdfs/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/snapshot"
)

// These tests run against a real HDFS at SLUICE_HDFS (host:port), where the
// users sluice and flink share the group sluice.

func address(t *testing.T) string {
	t.Helper()
	address := os.Getenv("SLUICE_HDFS")
	require.NotEmpty(t, address, "set SLUICE_HDFS to a NameNode's host:port")
	return address
}

func connect(t *testing.T, addresses ...string) *Client {
	t.Helper()
	if len(addresses) == 0 {
		addresses = []string{address(t)}
	}
	client, err := New(Config{Addresses: addresses, User: "sluice", Timeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// raw is the library as another user, for what the client itself has no call.
func raw(t *testing.T, user string) *colinmarc.Client {
	t.Helper()
	h, err := colinmarc.NewClient(colinmarc.ClientOptions{Addresses: []string{address(t)}, User: user})
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newTenant(t *testing.T) string {
	t.Helper()
	name := "t" + strings.ToLower(ulid.Make().String())
	h := raw(t, "sluice")
	t.Cleanup(func() { _ = h.RemoveAll(path.Join(job.ArtifactsRoot, name)) })
	return name
}

func newUID(t *testing.T) string {
	t.Helper()
	uid := ulid.Make().String()
	h := raw(t, "sluice")
	t.Cleanup(func() { _ = h.RemoveAll(job.Directory(uid)) })
	return uid
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// leftovers are the names in a tenant's store, temporary ones too.
func leftovers(t *testing.T, tenant string) []string {
	t.Helper()
	var names []string
	h := raw(t, "sluice")
	for _, directory := range []string{path.Join(job.ArtifactsRoot, tenant), path.Join(job.ArtifactsRoot, tenant, incoming)} {
		entries, err := h.ReadDir(directory)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Name() != incoming {
				names = append(names, entry.Name())
			}
		}
	}
	return names
}

func TestPutOpenStat(t *testing.T) {
	ctx, client, tenant := t.Context(), connect(t), newTenant(t)
	jar := jarOf(t, manifestName, "Main.class")
	digest := digestOf(jar)

	_, err := client.Stat(ctx, tenant, digest)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	_, _, err = client.Open(ctx, tenant, digest)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))

	stored, err := client.Put(ctx, tenant, bytes.NewReader(jar), PutOptions{Expect: digest, MaxBytes: 1 << 20, Check: CheckJar})
	require.NoError(t, err)
	require.Equal(t, Stored{Digest: digest, Bytes: int64(len(jar))}, stored)

	for name, expect := range map[string]string{"with its digest": digest, "without": ""} {
		again, err := client.Put(ctx, tenant, bytes.NewReader(jar), PutOptions{Expect: expect})
		require.NoError(t, err, name)
		require.Equal(t, Stored{Digest: digest, Bytes: int64(len(jar)), Existed: true}, again, name)
	}
	_, err = client.Put(ctx, tenant, strings.NewReader("another body"), PutOptions{Expect: digest})
	require.Equal(t, failure.Digest, failure.CodeOf(err), "a repeat with another body is no repeat")

	content, size, err := client.Open(ctx, tenant, digest)
	require.NoError(t, err)
	read, err := io.ReadAll(content)
	require.NoError(t, err)
	require.NoError(t, content.Close())
	require.Equal(t, jar, read)
	require.Equal(t, int64(len(jar)), size)
	require.Equal(t, []string{strings.TrimPrefix(digest, "sha256:")}, leftovers(t, tenant))
}

func TestPutLeavesNothingBehind(t *testing.T) {
	client := connect(t)
	canceled, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		ctx     context.Context //nolint:containedctx // a case's
		content io.Reader
		options PutOptions
		code    failure.Code
	}{
		"wrong digest": {t.Context(), strings.NewReader("content"), PutOptions{Expect: "sha256:" + sampleDigest}, failure.Digest},
		"too large":    {t.Context(), endless{}, PutOptions{MaxBytes: 5 << 20}, failure.TooLarge},
		"not a jar":    {t.Context(), strings.NewReader("not a jar"), PutOptions{Check: CheckJar}, failure.Invalid},
		"broken off":   {t.Context(), io.MultiReader(io.LimitReader(endless{}, 3<<20), failing{}), PutOptions{}, failure.Invalid},
		"caller gone":  {canceled, io.MultiReader(io.LimitReader(endless{}, 3<<20), calling{cancel}, endless{}), PutOptions{MaxBytes: 64 << 20}, failure.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := newTenant(t)
			_, err := client.Put(c.ctx, tenant, c.content, c.options)
			require.Equal(t, c.code, failure.CodeOf(err), "%v", err)
			require.Empty(t, leftovers(t, tenant))
		})
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

type calling struct{ call func() }

func (c calling) Read([]byte) (int, error) { c.call(); return 0, io.EOF }

func TestPutSideBySide(t *testing.T) {
	client, tenant := connect(t), newTenant(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	var group sync.WaitGroup
	var first sync.Map
	for i := range 24 {
		group.Go(func() {
			stored, err := client.Put(t.Context(), tenant, bytes.NewReader(content), PutOptions{})
			if err != nil || stored.Digest != digestOf(content) {
				first.Store(i, err)
			}
		})
	}
	group.Wait()
	first.Range(func(k, v any) bool { t.Errorf("upload %v: %v", k, v); return true })
	require.Len(t, leftovers(t, tenant), 1)
}

// An upload of any size needs the same memory.
func TestPutMemoryIsFlat(t *testing.T) {
	client, tenant := connect(t), newTenant(t)
	const size = 300 << 20
	source := rand.NewChaCha8([32]byte{1})
	var most uint64
	reads := 0
	watched := readerFunc(func(b []byte) (int, error) {
		if reads++; reads%200 == 0 {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapInuse)
		}
		return source.Read(b)
	})
	started := time.Now()
	stored, err := client.Put(t.Context(), tenant, io.LimitReader(watched, size), PutOptions{MaxBytes: 1 << 30})
	require.NoError(t, err)
	require.Equal(t, int64(size), stored.Bytes)
	t.Logf("%d MiB in %s, heap at most %d MiB", size>>20, time.Since(started).Round(time.Millisecond), most>>20)
	require.Less(t, most, uint64(48<<20))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestSweep(t *testing.T) {
	ctx, client, tenant := t.Context(), connect(t), newTenant(t)
	stored, err := client.Put(ctx, tenant, strings.NewReader("kept"), PutOptions{})
	require.NoError(t, err)
	h := raw(t, "sluice")
	stale := path.Join(job.ArtifactsRoot, tenant, incoming, "stale")
	require.NoError(t, h.CreateEmptyFile(stale))
	require.NoError(t, h.Chtimes(stale, time.Now(), time.Now().Add(-48*time.Hour)))
	require.NoError(t, h.CreateEmptyFile(path.Join(job.ArtifactsRoot, tenant, incoming, "fresh")))

	removed, err := client.Sweep(ctx, 24*time.Hour)
	require.NoError(t, err)
	require.GreaterOrEqual(t, removed, 1)
	require.ElementsMatch(t, []string{strings.TrimPrefix(stored.Digest, "sha256:"), "fresh"}, leftovers(t, tenant))
}

func write(t *testing.T, h *colinmarc.Client, name string, content []byte) *colinmarc.FileWriter {
	t.Helper()
	require.NoError(t, h.MkdirAll(path.Dir(name), 0o775))
	w, err := h.CreateFile(name, 1, 1<<20, 0o644)
	require.NoError(t, err)
	if len(content) == 0 {
		return w // a write of nothing would begin a block that never ends
	}
	_, err = w.Write(content)
	require.NoError(t, err)
	return w
}

// header is the beginning of a _metadata of version 4.
func header(id int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{0x49, 0x60, 0x67, 0x2d, 0, 0, 0, 4}, uint64(id))
}

func TestVerifyMetadata(t *testing.T) {
	ctx, client, uid := t.Context(), connect(t), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	flink := raw(t, "flink")
	try := job.SavepointDirectory(uid, "01OP", "stop", 1)
	complete := append(append(header(7), make([]byte, 8)...), 0xac, 0xed) // no master states, no operators, then Java

	_, err := client.VerifyMetadata(ctx, try+"/savepoint-1")
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	_, err = client.FindMetadata(ctx, try)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	found, err := client.FindAnyMetadata(ctx, uid)
	require.NoError(t, err)
	require.Empty(t, found)

	// All its bytes are there and readable, but its writer isn't done.
	open := write(t, flink, try+"/savepoint-1/_metadata", complete)
	require.NoError(t, open.Flush())
	_, err = client.VerifyMetadata(ctx, try+"/savepoint-1")
	require.Equal(t, failure.Incompatible, failure.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "still being written")
	_, err = client.FindMetadata(ctx, try)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))

	require.NoError(t, closeFully(ctx, open))
	verified, err := client.VerifyMetadata(ctx, "hdfs://"+address(t)+try+"/savepoint-1")
	require.NoError(t, err)
	require.Equal(t, Metadata{Location: "hdfs://" + address(t) + try + "/savepoint-1", Bytes: int64(len(complete)), Version: 4, CheckpointID: 7}, verified)
	same, err := client.VerifyMetadata(ctx, try+"/savepoint-1/_metadata")
	require.NoError(t, err)
	require.Equal(t, try+"/savepoint-1", same.Location)

	require.NoError(t, closeFully(ctx, write(t, flink, try+"/savepoint-2/_metadata", complete[:10])))
	_, err = client.VerifyMetadata(ctx, try+"/savepoint-2")
	require.Equal(t, failure.Incompatible, failure.CodeOf(err))
	require.NoError(t, flink.MkdirAll(try+"/savepoint-3", 0o775))
	require.NoError(t, flink.CreateEmptyFile(try+"/savepoint-3/_metadata"))
	_, err = client.VerifyMetadata(ctx, try+"/savepoint-3")
	require.Equal(t, failure.Incompatible, failure.CodeOf(err))

	newest, err := client.FindMetadata(ctx, "hdfs://"+address(t)+try)
	require.NoError(t, err)
	require.Equal(t, verified, newest)
	found, err = client.FindAnyMetadata(ctx, uid)
	require.NoError(t, err)
	require.Contains(t, found, try)
	_, err = client.VerifyMetadata(ctx, "/data/x")
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}

func TestReadSnapshot(t *testing.T) {
	ctx, client, uid := t.Context(), connect(t), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	flink := raw(t, "flink")
	try := job.SavepointDirectory(uid, "01OP", "stop", 1)
	_, err := client.ReadSnapshot(ctx, try+"/savepoint-1")
	require.Equal(t, failure.NotFound, failure.CodeOf(err))

	// One operator whose 3 MiB of state lie in the file itself.
	state := make([]byte, 3<<20)
	content := append(header(7), 0, 0, 0, 0, 0, 0, 0, 1)
	content = append(content, "operator of 16 b\x00\x00\x00\x02\x00\x00\x00\x80\x01\x00\x00"...) // parallelism, its maximum, bytes, no name
	content = binary.BigEndian.AppendUint32(content, uint32(len(state)))
	content = append(append(content, state...), 0, 0, 0, 0)
	whole := append(bytes.Clone(content), 0xac, 0xed)
	require.NoError(t, closeFully(ctx, write(t, flink, try+"/savepoint-1/_metadata", whole)))
	found, err := client.ReadSnapshot(ctx, "hdfs://"+address(t)+try+"/savepoint-1")
	require.NoError(t, err)
	require.Equal(t, snapshot.Snapshot{Version: 4, CheckpointID: 7, Operators: []snapshot.Operator{
		{ID: hex.EncodeToString([]byte("operator of 16 b")), Parallelism: 2, MaxParallelism: 128, Bytes: 3 << 20, Coordinator: true},
	}}, found)

	for name, content := range map[string][]byte{"cut": content, "nothing": nil, "other": []byte("no metadata at all, but long enough")} {
		require.NoError(t, closeFully(ctx, write(t, flink, try+"/"+name+"/_metadata", content)))
		_, err = client.ReadSnapshot(ctx, try+"/"+name)
		require.Equal(t, failure.Incompatible, failure.CodeOf(err), name)
	}
	_, err = client.ReadSnapshot(ctx, "/data/x")
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
}

// The primer leaves snapshots before a job's first start: with those the job has
// no state yet. Everything else is state, wherever in its directory it lies.
func TestFindAnyMetadata(t *testing.T) {
	ctx, client := t.Context(), connect(t)
	for name, state := range map[string]bool{
		"primer/g1/savepoint":                false,
		"primer/g2/checkpoints/0a/chk-1":     false,
		"checkpoints/0a/chk-1":               true,
		"savepoints/01OP-stop-1/savepoint-1": true,
		"kept-by-hand/savepoint-1":           true,
		"checkpoints/primer/chk-1":           true,
	} {
		t.Run(name, func(t *testing.T) {
			uid := newUID(t)
			require.NoError(t, client.MakeJobDirectories(ctx, uid))
			metadata := path.Join(job.Directory(uid), name, "_metadata")
			require.NoError(t, closeFully(ctx, write(t, raw(t, "sluice"), metadata, header(1))))
			want := ""
			if state {
				want = metadata
			}
			found, err := client.FindAnyMetadata(ctx, uid)
			require.NoError(t, err)
			require.Equal(t, want, found)
		})
	}
}

func TestMakeJobDirectories(t *testing.T) {
	ctx, client, uid := t.Context(), connect(t), newUID(t)
	require.NoError(t, client.MakeJobDirectories(ctx, uid))
	require.NoError(t, client.MakeJobDirectories(ctx, uid), "a repeat is harmless")
	flink, platform := raw(t, "flink"), raw(t, "sluice")
	for _, name := range []string{"savepoints", "checkpoints", "primer"} {
		mine := path.Join(job.Directory(uid), name, "made-by-flink")
		require.NoError(t, flink.MkdirAll(mine, 0o755))
		require.NoError(t, flink.CreateEmptyFile(mine+"/file"))
		_, err := platform.ReadFile(mine + "/file")
		require.NoError(t, err)
	}
	for _, uid := range []string{"", "..", "a/b", "../artifacts"} {
		require.Equal(t, failure.Invalid, failure.CodeOf(client.MakeJobDirectories(ctx, uid)), uid)
	}
}

// A connection that broke while it was idle is replaced without anybody noticing.
func TestStaleConnection(t *testing.T) {
	ctx, proxy, tenant := t.Context(), newProxy(t, address(t)), newTenant(t)
	client := connect(t, proxy.listener.Addr().String())
	stored, err := client.Put(ctx, tenant, strings.NewReader("content"), PutOptions{})
	require.NoError(t, err)
	for range 3 {
		proxy.cut()
		_, err = client.Stat(ctx, tenant, stored.Digest)
		require.NoError(t, err)
	}
	proxy.cut()
	again, err := client.Put(ctx, tenant, strings.NewReader("more"), PutOptions{})
	require.NoError(t, err)
	require.Equal(t, digestOf([]byte("more")), again.Digest)
}

type proxy struct {
	listener net.Listener
	mutex    sync.Mutex
	conns    []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener}
	t.Cleanup(func() { _ = listener.Close(); p.cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mutex.Lock()
			p.conns = append(p.conns, in, out)
			p.mutex.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return p
}

func (p *proxy) cut() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}
