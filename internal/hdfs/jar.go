package hdfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"sluice/internal/failure"
)

// The signatures of APPNOTE.TXT (the zip format) 4.3.
const (
	zipLocal     = 0x04034b50
	zipEntry     = 0x02014b50
	zipEnd       = 0x06054b50
	zip64Locator = 0x07064b50
	zip64End     = 0x06064b50
)

// CheckJar says whether content is a readable jar that is harmless to unpack: it
// begins with an entry, its directory is whole, lists a manifest and not too many
// entries, and none of them is what whoever unpacks it must not meet (entries.go).
// It inflates nothing, so that it takes the same memory for every content, and
// walks the directory entry by entry: archive/zip would keep them all, and a
// hostile one lists millions.
func CheckJar(content io.ReaderAt, size int64) error { return notAJar(checkZip(content, size)) }

// CheckJarHead looks at the first bytes of what is to be read, and leaves them
// there: what isn't a jar at all is not worth the way to HDFS.
func CheckJarHead(content *bufio.Reader) error {
	head, err := content.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return failure.Wrap(failure.Invalid, err, "the content could not be read to its end").WithNext("send it again")
	}
	return notAJar(checkHead(head))
}

func notAJar(err error) error {
	var known *failure.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return failure.New(failure.Invalid, "the content is not a readable jar: %v", err).
		WithNext("upload the jar that the build made (a zip file), not its sources or a page that led to it")
}

func checkHead(head []byte) error {
	if len(head) < 4 {
		return errors.New("it has less than four bytes")
	}
	switch binary.LittleEndian.Uint32(head) {
	case zipLocal:
		return nil
	case zipEnd:
		return errors.New("it has no entries")
	}
	return errors.New("it does not begin as a zip file does")
}

func checkZip(content io.ReaderAt, size int64) error {
	head := make([]byte, 4)
	n, _ := content.ReadAt(head, 0)
	if err := checkHead(head[:n]); err != nil {
		return err
	}
	directory, err := findDirectory(content, size)
	if err != nil {
		return err
	}
	return directory.walk(content, size)
}

// zipDirectory is where the entries are listed.
type zipDirectory struct{ entries, offset, length int64 }

// findDirectory reads the end record: it lies before a comment of at most 64 KiB.
func findDirectory(content io.ReaderAt, size int64) (zipDirectory, error) {
	const endLength = 22
	tail := make([]byte, min(size, endLength+1<<16))
	start := size - int64(len(tail))
	if _, err := content.ReadAt(tail, start); err != nil && !errors.Is(err, io.EOF) {
		return zipDirectory{}, errors.New("its end can't be read")
	}
	for i := len(tail) - endLength; i >= 0; i-- {
		if binary.LittleEndian.Uint32(tail[i:]) != zipEnd {
			continue
		}
		d := zipDirectory{
			entries: int64(binary.LittleEndian.Uint16(tail[i+10:])),
			length:  int64(binary.LittleEndian.Uint32(tail[i+12:])),
			offset:  int64(binary.LittleEndian.Uint32(tail[i+16:])),
		}
		end := start + int64(i)
		if d.entries == 0xffff || d.length == 0xffffffff || d.offset == 0xffffffff {
			var err error
			if d, end, err = findDirectory64(content, end); err != nil {
				return zipDirectory{}, err
			}
		}
		if d.entries == 0 {
			return zipDirectory{}, errors.New("it has no entries")
		}
		if d.offset < 0 || d.length < 0 || d.offset+d.length != end {
			return zipDirectory{}, errors.New("its list of entries is not where its end says")
		}
		return d, nil
	}
	return zipDirectory{}, errors.New("it has no end record: it is cut off")
}

func findDirectory64(content io.ReaderAt, end int64) (zipDirectory, int64, error) {
	var locator [20]byte
	if end < int64(len(locator)) {
		return zipDirectory{}, 0, errors.New("its zip64 locator is missing")
	}
	if _, err := content.ReadAt(locator[:], end-int64(len(locator))); err != nil || binary.LittleEndian.Uint32(locator[:]) != zip64Locator {
		return zipDirectory{}, 0, errors.New("its zip64 locator is missing")
	}
	at := int64(binary.LittleEndian.Uint64(locator[8:]))
	var record [56]byte
	if at < 0 || at > end {
		return zipDirectory{}, 0, errors.New("its zip64 end record is missing")
	}
	if _, err := content.ReadAt(record[:], at); err != nil || binary.LittleEndian.Uint32(record[:]) != zip64End {
		return zipDirectory{}, 0, errors.New("its zip64 end record is missing")
	}
	return zipDirectory{
		entries: int64(binary.LittleEndian.Uint64(record[32:])),
		length:  int64(binary.LittleEndian.Uint64(record[40:])),
		offset:  int64(binary.LittleEndian.Uint64(record[48:])),
	}, at, nil
}
