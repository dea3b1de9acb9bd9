// Package snapshot reads what a Flink snapshot says about itself: the operators
// of its _metadata. It is pure: bytes in, operators out, whatever the bytes are.
//
// The layout is Flink's MetadataV3Serializer … MetadataV6Serializer over
// MetadataV2V3SerializerBase, compared with the classes of 1.20.5 (which writes
// version 4) and 2.3.0 (version 6: with each operator's name and uid). Numbers
// are big-endian.
package snapshot

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Snapshot is what a _metadata says.
type Snapshot struct {
	Version      int32 // of the format
	CheckpointID int64
	Operators    []Operator // in the file's order; also those without state
}

// Operator is one operator's part of a snapshot.
type Operator struct {
	ID             string // 32 hex digits, as in Flink's REST
	UID            string // "" where it isn't stored: before version 5, or none was set
	Name           string // the same
	Parallelism    int
	MaxParallelism int
	Collected      int   // subtasks that answered: an operator in a task without any state has none
	Subtasks       int   // of them, those that left state
	Bytes          int64 // of all its state, as far as the metadata says
	Coordinator    bool  // a coordinator's state, for example a source's splits
}

// HasState is what Flink asks before it refuses to leave an operator's state
// behind (Checkpoints.loadAndValidateCheckpoint).
func (o Operator) HasState() bool { return o.Subtasks > 0 || o.Coordinator }

// FormatError says that bytes are not what Flink writes.
type FormatError struct{ reason string }

// Error is the reason; it follows the file's name.
func (e *FormatError) Error() string { return e.reason }

func wrong(format string, args ...any) error {
	return &FormatError{fmt.Sprintf(format, args...)}
}

// HeaderLength is the bytes that Header needs.
const HeaderLength = 16

// Versions of the format: Header knows the older ones too, which nothing writes
// since Flink 1.11.
const (
	magic       = 0x4960672d // Checkpoints.HEADER_MAGIC_NUMBER
	oldestKnown = 2
	oldest      = 3
	withProps   = 4 // from here a Java object (CheckpointProperties) follows
	withNames   = 5
	withMerged  = 6 // channel state has a type
	newest      = 6
)

// Header reads the first HeaderLength bytes: magic, version, checkpoint id.
func Header(header []byte) (version int32, checkpointID int64, err error) {
	if len(header) < HeaderLength {
		return 0, 0, wrong("is too short to be Flink's")
	}
	if binary.BigEndian.Uint32(header) != magic {
		return 0, 0, wrong("does not begin as Flink's does")
	}
	version = int32(binary.BigEndian.Uint32(header[4:]))
	checkpointID = int64(binary.BigEndian.Uint64(header[8:]))
	if version < oldestKnown || version > newest {
		return 0, 0, wrong("has a format version that is not known")
	}
	if checkpointID < 0 {
		return 0, 0, wrong("has a negative checkpoint id")
	}
	return version, checkpointID, nil
}

// MaxOperators bounds a snapshot; real jobs have hundreds.
const MaxOperators = 50_000

// Parse reads a _metadata. Bytes that Flink doesn't write are a *FormatError;
// other errors are the reader's. Memory is bounded by MaxOperators, time by the
// length of the input.
func Parse(from io.Reader) (Snapshot, error) { return parse(newReader(from)) }

func parse(r *reader) (Snapshot, error) {
	header := make([]byte, HeaderLength)
	r.full(header)
	if r.err != nil {
		return Snapshot{}, r.err
	}
	version, id, err := Header(header)
	if err != nil {
		return Snapshot{}, err
	}
	if version < oldest {
		return Snapshot{}, wrong("has format version %d, older than Flink 1.11", version)
	}
	s := Snapshot{Version: version, CheckpointID: id}
	r.version = version
	r.times(r.int(), "master states", r.masterState)
	count := r.int()
	if count > MaxOperators {
		return Snapshot{}, wrong("claims %d operators", count)
	}
	r.times(count, "operators", func() { s.Operators = append(s.Operators, r.operator()) })
	r.end()
	if r.err != nil {
		return Snapshot{}, r.err
	}
	return s, nil
}

// masterState is what hooks of sources left (MasterTriggerRestoreHook).
func (r *reader) masterState() {
	const masterMagic = 0xc96b1696
	if uint32(r.int()) != masterMagic && r.err == nil {
		r.fail("has a master state that doesn't begin as Flink's does")
	}
	r.skip(int64(r.length("master state")))
}

func (r *reader) operator() Operator {
	var o Operator
	if r.version >= withNames {
		o.Name, o.UID = r.text(), r.text()
	}
	var id [16]byte
	r.full(id[:])
	o.ID = hex.EncodeToString(id[:])
	o.Parallelism, o.MaxParallelism = int(r.int()), int(r.int())
	size, coordinator := r.stream(0)
	o.Coordinator = coordinator
	o.add(size)
	subtasks := r.int()
	if subtasks < 0 { // fully finished: nothing follows
		return o
	}
	o.Collected = int(subtasks)
	r.times(subtasks, "subtasks", func() {
		if r.int() < 0 { // a finished subtask
			return
		}
		if size, has := r.subtask(); has {
			o.Subtasks++
			o.add(size)
		}
	})
	return o
}

func (o *Operator) add(size int64) {
	if o.Bytes += size; o.Bytes < 0 {
		o.Bytes = 1<<63 - 1
	}
}

// end looks at what follows the operators: a parser that lost its way ends
// elsewhere.
func (r *reader) end() {
	if r.err != nil {
		return
	}
	if r.version >= withProps {
		const javaObject = 0xaced // java.io.ObjectStreamConstants.STREAM_MAGIC
		if r.short() != javaObject && r.err == nil {
			r.fail("goes on where its operators should end")
		}
		return
	}
	if _, err := r.from.ReadByte(); err == nil {
		r.fail("goes on where its operators should end")
	} else if err != io.EOF {
		r.err = err
	}
}
