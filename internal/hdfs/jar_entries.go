package hdfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"sluice/internal/failure"
)

// Bounds of a jar. Flink unpacks the jars within a jar (lib/*.jar) into the
// JobManager's disk, and class loaders read entries into memory.
const (
	maxJarEntries = 250_000 // fat jars of real jobs have some 50,000
	maxJarContent = 4 << 30 // bytes unpacked
	// maxJarRatio is of unpacked to packed, for jars that unpack to more than
	// freeJarContent: classes come to 2 or 3, a bomb to 1000.
	maxJarRatio    = 100
	freeJarContent = 64 << 20
)

// manifestName is in every jar that a build tool made.
const manifestName = "META-INF/MANIFEST.MF"

// zipFile is what the directory says of one entry.
type zipFile struct {
	name           string
	encrypted      bool
	method         uint16
	packed, length int64
	offset         int64
}

// walk reads the list of entries and adds up what they are.
func (d zipDirectory) walk(content io.ReaderAt, size int64) error {
	if d.entries > maxJarEntries || d.entries < 0 {
		return failure.New(failure.TooLarge, "the jar lists %d entries; at most %d are allowed", d.entries, maxJarEntries).
			WithNext("leave out what the job doesn't need, or split it into several artifacts")
	}
	r := bufio.NewReaderSize(io.NewSectionReader(content, d.offset, d.length), 64<<10)
	var packed, unpacked int64
	manifest := false
	for i := range d.entries {
		file, err := readEntry(r)
		if err != nil {
			return fmt.Errorf("entry %d of %d in its list %w", i+1, d.entries, err)
		}
		if reason := file.wrong(d.offset); reason != "" {
			return fmt.Errorf("entry %d of %d in its list, %.100q, %s", i+1, d.entries, file.name, reason)
		}
		manifest = manifest || strings.EqualFold(file.name, manifestName)
		packed += file.packed
		if unpacked += file.length; unpacked > maxJarContent {
			return bomb(fmt.Sprintf("more than the %d bytes that are allowed", int64(maxJarContent)))
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("its list holds more than its end says")
	}
	switch {
	case packed > size:
		return bomb("more than itself: its entries overlap")
	case unpacked > freeJarContent && unpacked > maxJarRatio*size:
		return bomb(fmt.Sprintf("%d bytes, more than %d times its own size", unpacked, maxJarRatio))
	case !manifest:
		return errors.New("it has no " + manifestName)
	}
	return nil
}

// bomb is a failure even where the content is a proper zip file.
func bomb(what string) error {
	return failure.New(failure.TooLarge, "the jar unpacks to %s", what).
		WithNext("put large data onto HDFS and let the job read it from there; a jar is for classes")
}

// readEntry reads one record of the directory (APPNOTE.TXT 4.3.12).
func readEntry(r *bufio.Reader) (zipFile, error) {
	var header [46]byte
	if _, err := io.ReadFull(r, header[:]); err != nil || binary.LittleEndian.Uint32(header[:]) != zipEntry {
		return zipFile{}, errors.New("is broken")
	}
	number := func(at int) int { return int(binary.LittleEndian.Uint16(header[at:])) }
	text := make([]byte, number(28)+number(30))
	if _, err := io.ReadFull(r, text); err != nil {
		return zipFile{}, errors.New("is cut off")
	}
	if _, err := r.Discard(number(32)); err != nil {
		return zipFile{}, errors.New("is cut off")
	}
	file := zipFile{
		name: string(text[:number(28)]), encrypted: header[8]&1 != 0, method: binary.LittleEndian.Uint16(header[10:]),
		packed: int64(binary.LittleEndian.Uint32(header[20:])), length: int64(binary.LittleEndian.Uint32(header[24:])),
		offset: int64(binary.LittleEndian.Uint32(header[42:])),
	}
	return file, file.extend(text[number(28):])
}

// extend takes what doesn't fit into 32 bits from the zip64 record (4.5.3): the
// fields that are full, in this order.
func (f *zipFile) extend(extra []byte) error {
	for len(extra) >= 4 {
		id, length := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if length > len(extra)-4 {
			return nil // what build tools pad with
		}
		record := extra[4 : 4+length]
		extra = extra[4+length:]
		if id != 1 {
			continue
		}
		for _, field := range []*int64{&f.length, &f.packed, &f.offset} {
			if *field != 0xffffffff {
				continue
			}
			if len(record) < 8 {
				return errors.New("is broken: its zip64 record is cut off")
			}
			*field = int64(binary.LittleEndian.Uint64(record))
			record = record[8:]
		}
		return nil
	}
	return nil
}

// wrong says what is wrong with an entry, "" for nothing. end is where the
// directory begins.
func (f *zipFile) wrong(end int64) string {
	const stored, deflated = 0, 8 // what java.util.zip reads
	switch {
	case f.packed < 0 || f.length < 0 || f.length > maxJarContent*2 || f.offset < 0 || f.offset >= end || f.packed > end:
		return "has a size or a place that can't be"
	case f.encrypted:
		return "is encrypted"
	case f.method != stored && f.method != deflated:
		return "is packed in a way that Java doesn't read"
	case f.name == "" || strings.ContainsFunc(f.name, unicode.IsControl):
		return "has no name, or one with control characters"
	case strings.ContainsRune(f.name, '\\') || strings.HasPrefix(f.name, "/") || len(f.name) > 1 && f.name[1] == ':':
		return "has a name that is not a relative path"
	case slices.Contains(strings.Split(f.name, "/"), ".."):
		return "leads out of the directory that it would be unpacked to"
	}
	return ""
}
