package hdfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/snapshot"
)

// Bounds of a snapshot that is copied.
const (
	maxForeignFiles = 20_000
	maxForeignBytes = 512 << 30
)

// Door says which snapshots outside the platform's directory may be copied in.
type Door struct {
	FS    string   // the only file system, hdfs://host:port
	Roots []string // clean directories; a snapshot lies below one of them
}

// Foreign is a snapshot that isn't the job's own.
type Foreign struct {
	Directory    string // without hdfs://
	CheckpointID int64
	Version      int32 // of the _metadata's format
	Files        []ForeignFile
	Bytes        int64 // of them all
}

// ForeignFile is one of its files: _metadata, or one that it names.
type ForeignFile struct {
	Name  string
	Bytes int64
}

// directory judges a location before anybody looks at it.
func (d Door) directory(location string) (string, error) {
	if reason := job.CheckSnapshotLocation(location); reason != "" {
		return "", failure.New(failure.Invalid, "the snapshot's location %s", reason)
	}
	name := strings.TrimRight(strings.TrimPrefix(location, authority(location)), "/")
	if at := authority(location); at != "" && at != d.FS {
		return "", failure.New(failure.Refused, "the snapshot lies on %s; this site's file system is %s", at, d.FS).
			WithNext("copy it onto the site's file system first")
	}
	if path.Base(name) == metadataName {
		name = path.Dir(name)
	}
	for _, root := range d.Roots {
		if strings.HasPrefix(name, strings.TrimRight(root, "/")+"/") {
			return name, nil
		}
	}
	next := "bring it below one of: " + strings.Join(d.Roots, ", ")
	if len(d.Roots) == 0 {
		next = "name the directories of such snapshots in the worker's configuration: tenants[].snapshotRoots"
	}
	return "", failure.New(failure.Refused, "snapshots below %s may not be taken over", path.Dir(name)).WithNext("%s", next)
}

// InspectForeign proves that a snapshot outside the platform's directory is
// complete and can be copied: its _metadata is closed and readable, all files
// that it names lie beside it and are as long as it says.
func (c *Client) InspectForeign(ctx context.Context, door Door, location string) (Foreign, error) {
	directory, err := door.directory(location)
	if err != nil {
		return Foreign{}, err
	}
	return c.inspect(ctx, directory)
}

// inspect judges a snapshot by its own words and by what lies in its directory.
func (c *Client) inspect(ctx context.Context, directory string) (Foreign, error) {
	name := path.Join(directory, metadataName)
	closed, err := c.isClosed(ctx, name)
	if err != nil {
		return Foreign{}, err
	}
	if !closed {
		return Foreign{}, failure.New(failure.Incompatible, "%s is still being written", name).WithNext(incompleteNextStep)
	}
	var parsed snapshot.Snapshot
	var files []snapshot.File
	if _, err := c.parse(ctx, name, func(from io.Reader) (err error) {
		parsed, files, err = snapshot.Files(from)
		return err
	}); err != nil {
		return Foreign{}, err
	}
	there, err := c.sizes(ctx, directory)
	if err != nil {
		return Foreign{}, err
	}
	found := Foreign{Directory: directory, CheckpointID: parsed.CheckpointID, Version: parsed.Version}
	found.Files, err = beside(name, files, there)
	for _, f := range found.Files {
		found.Bytes += f.Bytes
	}
	if err == nil && (len(found.Files) > maxForeignFiles || found.Bytes > maxForeignBytes) {
		err = failure.New(failure.TooLarge, "the snapshot %s has %d files of %d bytes; at most %d of %d are copied", directory, len(found.Files), found.Bytes, maxForeignFiles, int64(maxForeignBytes))
	}
	return found, err
}

// beside lists what is to be copied, _metadata last: what lacks it is no
// snapshot. A file anywhere else belongs to somebody's checkpoints: copied
// without it the snapshot would be broken, and with its address it would depend
// on what others delete.
func beside(metadata string, named []snapshot.File, there map[string]int64) ([]ForeignFile, error) {
	needs := map[string]int64{}
	for _, f := range named {
		if !f.Relative {
			return nil, failure.New(failure.Incompatible, "%s is not self-contained: it names %s", metadata, f.Path).
				WithNext("incremental checkpoints share files with others; take a savepoint of that job and start from it")
		}
		if f.Path != path.Base(f.Path) || f.Path == "." || f.Path == ".." || f.Path == metadataName || unprintable(f.Path) {
			return nil, failure.New(failure.Incompatible, "%s names a file by what is no name beside it: %q", metadata, f.Path)
		}
		needs[f.Path] = max(needs[f.Path], f.Bytes)
	}
	files := make([]ForeignFile, 0, len(needs)+1)
	for name, least := range needs {
		size, found := there[name]
		if !found || size < least {
			return nil, failure.New(failure.Incompatible, "%s names %s with %d bytes of state, but that %s", metadata, name, least, short(found, size)).
				WithNext(incompleteNextStep)
		}
		files = append(files, ForeignFile{name, size})
	}
	slices.SortFunc(files, func(a, b ForeignFile) int { return strings.Compare(a.Name, b.Name) })
	return append(files, ForeignFile{metadataName, there[metadataName]}), nil
}

func short(found bool, size int64) string {
	if !found {
		return "is not there"
	}
	return fmt.Sprintf("has %d", size)
}

func unprintable(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '%' || r == '\\' })
}

// sizes are the lengths of the files of a directory.
func (c *Client) sizes(ctx context.Context, directory string) (map[string]int64, error) {
	entries, err := c.list(ctx, directory)
	sizes := map[string]int64{}
	for _, entry := range entries {
		if !entry.IsDir() {
			sizes[entry.Name()] = entry.Size()
		}
	}
	return sizes, err
}

// ForeignDirectory is where an operation's copy lies.
func ForeignDirectory(uid, operation string) string {
	const try = 1 // it is resumed, never made a second time
	return job.SavepointDirectory(uid, operation, "foreign", try)
}

// unfinished is the copy's name until it is whole.
const unfinished = ".part"

// CopyForeign copies a snapshot into the job's own directory and says what it
// copied. A repeat goes on where the last one was cut off: a file that is there
// with its whole length and closed is kept. The copy gets its name only when it
// is proven whole by its own _metadata. progress hears of bytes.
func (c *Client) CopyForeign(ctx context.Context, door Door, location, uid, operation string, progress func(done, all int64)) (Foreign, error) {
	if _, err := jobDirectory(uid); err != nil {
		return Foreign{}, err
	}
	target := ForeignDirectory(uid, operation)
	done, err := c.inspect(ctx, target)
	if failure.CodeOf(err) != failure.NotFound {
		return done, err // a repeat
	}
	source, err := c.InspectForeign(ctx, door, location)
	if err != nil {
		return Foreign{}, err
	}
	return effect.Do(ctx, effect.CopySnapshot, target, func(ctx context.Context) (Foreign, error) {
		if err := c.copyInto(ctx, source, target+unfinished, progress); err != nil {
			return Foreign{}, err
		}
		copied, err := c.inspect(ctx, target+unfinished)
		if err != nil {
			return Foreign{}, err
		}
		err = c.write(ctx, target, func(h *colinmarc.Client) error { return h.Rename(target+unfinished, target) })
		if failure.CodeOf(err) == failure.Unavailable || failure.CodeOf(err) == failure.NotFound { // the answer may be lost, and the rename done
			return c.inspect(ctx, target)
		}
		copied.Directory = target
		return copied, err
	})
}

func (c *Client) copyInto(ctx context.Context, source Foreign, target string, progress func(done, all int64)) error {
	// As Flink makes its own: whoever may come to the job's directory may read.
	if err := c.read(ctx, target, func(h *colinmarc.Client) error { return h.MkdirAll(target, 0o755) }); err != nil {
		return err
	}
	there, err := c.sizes(ctx, target)
	if err != nil {
		return err
	}
	var before int64
	for _, file := range source.Files {
		size, begun := there[file.Name]
		whole := begun && size == file.Bytes
		if whole {
			if whole, err = c.isClosed(ctx, path.Join(target, file.Name)); err != nil {
				return err
			}
		}
		if !whole {
			counted := func(n int64) { progress(before+n, source.Bytes) }
			if err := c.copyFile(ctx, path.Join(source.Directory, file.Name), path.Join(target, file.Name), file.Bytes, counted); err != nil {
				return err
			}
		}
		before += file.Bytes
		progress(before, source.Bytes)
	}
	return nil
}

// copyFile copies one file over what a cut-off copy of it left.
func (c *Client) copyFile(ctx context.Context, from, to string, bytes int64, progress func(int64)) error {
	return c.do(ctx, to, func(h *colinmarc.Client) error {
		if err := h.RemoveAll(to); err != nil {
			return err
		}
		file, err := h.Open(from)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if file.Stat().Size() != bytes {
			return failure.New(failure.Conflict, "%s changed while it was copied", from).WithNext("copy a snapshot that nobody writes to")
		}
		defaults, err := h.ServerDefaults()
		if err != nil {
			return err
		}
		out, err := h.CreateFile(to, defaults.Replication, defaults.BlockSize, os.FileMode(0o644))
		if err != nil {
			return err
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{out}, &metered{from: file, progress: progress}, make([]byte, 256<<10)); err != nil {
			_ = out.Close() // ends the library's goroutines; the next try removes the file
			return err
		}
		return closeFully(ctx, out)
	}, func(error) bool { return true })
}

// metered tells how far a copy is.
type metered struct {
	from     io.Reader
	read     int64
	progress func(int64)
}

// Read reads and tells.
func (m *metered) Read(into []byte) (int, error) {
	n, err := m.from.Read(into)
	m.read += int64(n)
	m.progress(m.read)
	return n, err
}

// RemoveForeign takes an operation's copy away that nothing was started from.
func (c *Client) RemoveForeign(ctx context.Context, uid, operation string) error {
	if _, err := jobDirectory(uid); err != nil {
		return err
	}
	target := ForeignDirectory(uid, operation)
	_, err := effect.Do(ctx, effect.CopySnapshot, target, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.read(ctx, target, func(h *colinmarc.Client) error {
			if err := h.RemoveAll(target + unfinished); err != nil {
				return err
			}
			return h.RemoveAll(target)
		})
	})
	return err
}
