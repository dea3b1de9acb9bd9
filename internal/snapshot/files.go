package snapshot

import (
	"io"
	"unicode/utf8"
)

// File is a file in which state lies, as a _metadata names it.
type File struct {
	// Path is a name below the snapshot's own directory where Relative, else the
	// address of a file anywhere: what other checkpoints share, as Flink's
	// incremental ones do, is always named so.
	Path     string
	Relative bool
	Bytes    int64 // of the state in it: no more than its length; 0 where others write on
}

// MaxFiles bounds the files of a snapshot: an operator has one a subtask and
// state, RocksDB some dozens. At some 100 bytes a name it bounds the memory.
const MaxFiles = 500_000

// Files reads a _metadata as Parse does, with the files that it names. More than
// MaxFiles are a *FormatError.
func Files(from io.Reader) (Snapshot, []File, error) {
	files := []File{}
	r := newReader(from)
	r.files = &files
	s, err := parse(r)
	return s, files, err
}

// path is a whole name: unlike text it is not cut.
func (r *reader) path() string {
	length := int(r.short())
	if r.files == nil {
		r.skip(int64(length))
		return ""
	}
	name := make([]byte, length)
	r.full(name)
	return string(name)
}

func (r *reader) refers(relative bool, path string, bytes int64) {
	switch {
	case r.files == nil || r.err != nil:
	case path == "" || !utf8.ValidString(path):
		r.fail("names a file by what is no name")
	case len(*r.files) >= MaxFiles:
		r.fail("names more than %d files", MaxFiles)
	default:
		*r.files = append(*r.files, File{Path: path, Relative: relative, Bytes: max(0, bytes)})
	}
}
