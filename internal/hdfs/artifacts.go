package hdfs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path"
	"time"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// PutOptions of one upload.
type PutOptions struct {
	Expect   string // "sha256:<hex>": anything else is failure.Digest; "" takes what comes
	MaxBytes int64  // more is failure.TooLarge; 0 is no limit
	// Check sees the finished temporary file before it gets its name; its error is
	// returned and the file removed. CheckJar is one.
	Check func(content io.ReaderAt, size int64) error
}

// Stored is an artifact in the store.
type Stored struct {
	Digest  string `json:"digest"` // "sha256:<hex>"
	Bytes   int64  `json:"bytes"`
	Existed bool   `json:"existed"` // it was there before: a repeat
}

// incoming holds uploads until they are complete and checked. The dot keeps it
// apart from digests.
const incoming = ".incoming"

// Put streams r into the tenant's store under its SHA-256, with flat memory. The
// name appears only when the file is complete, closed and checked; on any
// failure nothing stays behind. A repeat is harmless. An artifact is never
// written over: somebody may be reading it.
func (c *Client) Put(ctx context.Context, tenant string, r io.Reader, options PutOptions) (Stored, error) {
	if reason := job.CheckName(tenant); reason != "" {
		return Stored{}, failure.New(failure.Invalid, "the tenant %s", reason)
	}
	expect := ""
	if options.Expect != "" {
		var err error
		if expect, err = job.ParseDigest(options.Expect); err != nil {
			return Stored{}, failure.New(failure.Invalid, "the expected digest %v", err)
		}
		size, err := c.Stat(ctx, tenant, options.Expect)
		if err == nil {
			return compare(r, expect, size, options)
		}
		if failure.CodeOf(err) != failure.NotFound {
			return Stored{}, err
		}
	}
	temporary := path.Join(job.ArtifactsRoot, tenant, incoming, rand.Text())
	stored, err := c.put(ctx, tenant, temporary, expect, r, options)
	if err != nil || stored.Existed {
		c.removeTemporary(ctx, temporary)
	}
	return stored, err
}

// compare reads an upload of something that is there already: a body that
// differs from its digest is still an error.
func compare(r io.Reader, expect string, size int64, options PutOptions) (Stored, error) {
	in := newIntake(r, options.MaxBytes)
	if _, err := io.Copy(io.Discard, in); err != nil {
		return Stored{}, in.blame(err)
	}
	if err := in.verify(expect); err != nil {
		return Stored{}, err
	}
	return Stored{Digest: options.Expect, Bytes: size, Existed: true}, nil
}

func (c *Client) put(ctx context.Context, tenant, temporary, expect string, r io.Reader, options PutOptions) (Stored, error) {
	if err := c.read(ctx, temporary, func(h *colinmarc.Client) error { return makeIncoming(h, tenant) }); err != nil {
		return Stored{}, err
	}
	in := newIntake(r, options.MaxBytes)
	untouched := func(err error) bool { return neverSent(err) && in.bytes == 0 }
	err := c.do(ctx, temporary, func(h *colinmarc.Client) error { return stream(ctx, h, temporary, in) }, untouched)
	if err != nil {
		return Stored{}, in.blame(err)
	}
	if err := in.verify(expect); err != nil {
		return Stored{}, err
	}
	if options.Check != nil {
		if err := c.check(ctx, temporary, options.Check); err != nil {
			return Stored{}, err
		}
	}
	digest := hex.EncodeToString(in.sum.Sum(nil))
	target := job.ArtifactPath(tenant, digest)
	return effect.Do(ctx, effect.StoreArtifact, digest, func(ctx context.Context) (Stored, error) {
		existed, err := c.publish(ctx, temporary, target, in.bytes)
		return Stored{Digest: "sha256:" + digest, Bytes: in.bytes, Existed: existed}, err
	})
}

func makeIncoming(h *colinmarc.Client, tenant string) error {
	if err := h.MkdirAll(job.ArtifactsRoot, 0o755); err != nil {
		return err
	}
	return h.MkdirAll(path.Join(job.ArtifactsRoot, tenant, incoming), 0o750)
}

// stream writes the whole intake into a new, closed file.
func stream(ctx context.Context, h *colinmarc.Client, name string, in io.Reader) error {
	defaults, err := h.ServerDefaults()
	if err != nil {
		return err
	}
	w, err := h.CreateFile(name, defaults.Replication, defaults.BlockSize, 0o640)
	if err != nil {
		return err
	}
	// A buffer of its own: FileWriter's packets are 64 KiB, io.Copy's reads 32 KiB.
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, in, make([]byte, 256<<10)); err != nil {
		_ = w.Close() // ends the library's goroutines; the file is removed by the caller
		return err
	}
	return closeFully(ctx, w)
}

// closeLimit ends the waiting for DataNodes that never report: the library
// answers ErrReplicating for ever.
const closeLimit = 30 * time.Second

func closeFully(ctx context.Context, w *colinmarc.FileWriter) error {
	limit := time.Now().Add(closeLimit)
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 400*time.Millisecond) {
		err := w.Close()
		if !colinmarc.IsErrReplicating(err) || time.Now().After(limit) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (c *Client) check(ctx context.Context, name string, check func(io.ReaderAt, int64) error) error {
	var verdict error
	err := c.read(ctx, name, func(h *colinmarc.Client) error {
		r, err := h.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		tracked := &trackedReader{ReaderAt: r}
		verdict = check(tracked, r.Stat().Size())
		return tracked.err
	})
	if err != nil {
		return err // HDFS failed, so the verdict means nothing
	}
	return verdict
}

// trackedReader remembers HDFS's own error: a check would call it a bad file.
type trackedReader struct {
	io.ReaderAt
	err error
}

// ReadAt reads and remembers.
func (t *trackedReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := t.ReaderAt.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

// publish gives the file its name, unless a complete one has it.
func (c *Client) publish(ctx context.Context, temporary, target string, size int64) (existed bool, err error) {
	if err = c.present(ctx, target, size); failure.CodeOf(err) != failure.NotFound {
		return err == nil, err
	}
	err = c.write(ctx, target, func(h *colinmarc.Client) error { return h.Rename(temporary, target) })
	if failure.CodeOf(err) == failure.Unavailable && c.present(ctx, target, size) == nil {
		return false, nil // the answer was lost, the rename was not
	}
	return false, err
}

func (c *Client) present(ctx context.Context, target string, size int64) error {
	info, err := c.stat(ctx, target)
	if err != nil {
		return err
	}
	if info.Size() != size {
		return failure.New(failure.Conflict, "%s has %d bytes, not %d: it was not written by the platform", target, info.Size(), size).
			WithNext("look at the file; remove it by hand if nothing uses it")
	}
	return nil
}

// removeTemporary cleans up also when the caller has gone. What it can't remove
// now, Sweep will.
func (c *Client) removeTemporary(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.Timeout)
	defer cancel()
	_ = c.read(ctx, name, func(h *colinmarc.Client) error { return h.RemoveAll(name) })
}

// Stat gives an artifact's size in bytes; failure.NotFound when it isn't there.
func (c *Client) Stat(ctx context.Context, tenant, digest string) (int64, error) {
	name, err := artifactPath(tenant, digest)
	if err != nil {
		return 0, err
	}
	info, err := c.stat(ctx, name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (c *Client) stat(ctx context.Context, name string) (info os.FileInfo, err error) {
	err = c.read(ctx, name, func(h *colinmarc.Client) error {
		info, err = h.Stat(name)
		return err
	})
	return info, err
}

func artifactPath(tenant, digest string) (string, error) {
	if reason := job.CheckName(tenant); reason != "" {
		return "", failure.New(failure.Invalid, "the tenant %s", reason)
	}
	digits, err := job.ParseDigest(digest)
	if err != nil {
		return "", failure.New(failure.Invalid, "the digest %q %v", digest, err)
	}
	return job.ArtifactPath(tenant, digits), nil
}

// Open reads an artifact and gives its size in bytes. The reader holds a
// connection until it is closed; ctx ends it. It does not compare the digest:
// whoever keeps the bytes does.
func (c *Client) Open(ctx context.Context, tenant, digest string) (io.ReadCloser, int64, error) {
	name, err := artifactPath(tenant, digest)
	if err != nil {
		return nil, 0, err
	}
	for fresh := false; ; fresh = true {
		s, err := c.acquire(ctx, fresh)
		if err != nil {
			return nil, 0, err
		}
		file, err := s.hdfs.Open(name)
		if err == nil {
			return &reader{file: file, client: c, session: s, name: name}, file.Stat().Size(), nil
		}
		stale := s.reused && !answered(err) && ctx.Err() == nil
		c.release(s, err)
		if !stale {
			return nil, 0, translate(err, name)
		}
	}
}

// reader gives its session back when it is closed.
type reader struct {
	file    *colinmarc.FileReader
	client  *Client
	session *session
	name    string
	err     error
	closed  bool
}

// Read reads on; its errors are failures.
func (r *reader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		err = translate(err, r.name)
	}
	return n, err
}

// Close gives the session back.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.file.Close()
	r.client.release(r.session, errors.Join(r.err, err))
	return nil
}

// Sweep removes temporary files older than age that a killed process left, and
// says how many.
func (c *Client) Sweep(ctx context.Context, age time.Duration) (int, error) {
	tenants, err := c.list(ctx, job.ArtifactsRoot)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, tenant := range tenants {
		directory := path.Join(job.ArtifactsRoot, tenant.Name(), incoming)
		files, err := c.list(ctx, directory)
		if err != nil && failure.CodeOf(err) != failure.NotFound {
			return removed, err
		}
		for _, file := range files {
			if time.Since(file.ModTime()) < age {
				continue
			}
			name := path.Join(directory, file.Name())
			if err := c.read(ctx, name, func(h *colinmarc.Client) error { return h.RemoveAll(name) }); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// list reads a directory; one that is not there is empty.
func (c *Client) list(ctx context.Context, name string) (entries []os.FileInfo, err error) {
	err = c.read(ctx, name, func(h *colinmarc.Client) error {
		entries, err = h.ReadDir(name)
		return err
	})
	if failure.CodeOf(err) == failure.NotFound {
		return nil, nil
	}
	return entries, err
}

// intake hashes and counts what is read and stops at the limit.
type intake struct {
	reader io.Reader
	sum    hash.Hash
	bytes  int64
	limit  int64
	err    error // of the reader or the limit, not of HDFS
}

func newIntake(r io.Reader, limit int64) *intake {
	return &intake{reader: r, sum: sha256.New(), limit: limit}
}

// Read reads, hashes and counts.
func (in *intake) Read(b []byte) (int, error) {
	n, err := in.reader.Read(b)
	in.sum.Write(b[:n])
	in.bytes += int64(n)
	if in.limit > 0 && in.bytes > in.limit {
		in.err = failure.New(failure.TooLarge, "the content is over the limit of %d bytes", in.limit).
			WithNext("leave the engine's own classes out of the jar (scope provided)")
		return 0, in.err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		var known *failure.Error
		if !errors.As(err, &known) {
			err = failure.Wrap(failure.Invalid, err, "the content could not be read to its end").WithNext("send it again")
		}
		in.err = err
	}
	return n, err
}

// blame returns the sender's error instead of what HDFS made of it.
func (in *intake) blame(err error) error {
	if in.err != nil {
		return in.err
	}
	return err
}

func (in *intake) verify(expect string) error {
	if got := hex.EncodeToString(in.sum.Sum(nil)); expect != "" && got != expect {
		return failure.New(failure.Digest, "the content's digest is sha256:%s, not sha256:%s", got, expect).
			WithNext("the file was changed or cut off on its way: send it again, or correct the digest")
	}
	return nil
}
