package job

import (
	"strconv"
	"strings"
)

// String is "flink 1.20.5".
func (e Engine) String() string { return e.Name + " " + e.Version }

// line is the version's first two numbers; 0 for one that it doesn't have.
func (e Engine) line() (major, minor int) {
	version, _, _ := strings.Cut(e.Version, "-")
	parts := strings.Split(version+".0", ".")
	major, _ = strconv.Atoi(parts[0]) // validated: digits
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

// Major is the version's first number: names of options differ by it.
func (e Engine) Major() int {
	major, _ := e.line()
	return major
}

// CanRead says whether e can restore a snapshot that writer wrote: Flink reads
// those of its own line (major.minor) and of older ones, never a newer line's.
func (e Engine) CanRead(writer Engine) bool {
	major, minor := e.line()
	writerMajor, writerMinor := writer.line()
	return e.Name == writer.Name && (major > writerMajor || major == writerMajor && minor >= writerMinor)
}

// newestFormat1 is the newest format of _metadata that Flink 1.x knows (1.20.5's
// MetadataSerializers); 2.x writes 5 and up, which have the operators' uids.
const newestFormat1 = 4

// CanReadFormat says whether e knows a format of _metadata.
func (e Engine) CanReadFormat(format int32) bool { return e.Major() >= 2 || format <= newestFormat1 }
