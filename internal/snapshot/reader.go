package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// reader reads Java's DataOutputStream. After its first error it gives zeros and
// moves no more. It never allocates by what the input claims.
type reader struct {
	from    *bufio.Reader
	version int32
	err     error
	buffer  [8]byte
	files   *[]File // nil: they are not asked for
}

func newReader(from io.Reader) *reader { return &reader{from: bufio.NewReaderSize(from, 64<<10)} }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = wrong(format, args...)
	}
}

// ended keeps the first error; an input that ends too early is not Flink's.
func (r *reader) ended(err error) {
	if r.err != nil || err == nil {
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = wrong("ends too early")
	}
	r.err = err
}

func (r *reader) full(into []byte) {
	if r.err == nil {
		_, err := io.ReadFull(r.from, into)
		r.ended(err)
	}
	if r.err != nil {
		clear(into)
	}
}

func (r *reader) byte() byte {
	r.full(r.buffer[:1])
	return r.buffer[0]
}

func (r *reader) short() uint16 {
	r.full(r.buffer[:2])
	return binary.BigEndian.Uint16(r.buffer[:2])
}

func (r *reader) int() int32 {
	r.full(r.buffer[:4])
	return int32(binary.BigEndian.Uint32(r.buffer[:4]))
}

func (r *reader) long() int64 {
	r.full(r.buffer[:8])
	return int64(binary.BigEndian.Uint64(r.buffer[:8]))
}

// length is a count of bytes or numbers that follow.
func (r *reader) length(what string) int32 {
	n := r.int()
	if n < 0 {
		r.fail("claims a negative length of %s", what)
		return 0
	}
	return n
}

func (r *reader) skip(n int64) {
	for n > 0 && r.err == nil {
		step := min(n, 1<<20)
		_, err := r.from.Discard(int(step))
		r.ended(err)
		n -= step
	}
}

// times repeats read; each repetition must take at least a byte, so that a false
// count ends with the input.
func (r *reader) times(n int32, what string, read func()) {
	if n < 0 {
		r.fail("claims a negative number of %s", what)
	}
	for ; n > 0 && r.err == nil; n-- {
		read()
	}
}

func (r *reader) skipText() { r.skip(int64(r.short())) }

// maxText bounds what is kept of a name or uid, in bytes.
const maxText = 200

// text is Java's modified UTF-8: what isn't valid UTF-8 of it (surrogates, zero)
// is replaced.
func (r *reader) text() string {
	length := int(r.short())
	kept := make([]byte, min(length, maxText))
	r.full(kept)
	r.skip(int64(length - len(kept)))
	return strings.ToValidUTF8(string(kept), "�")
}
