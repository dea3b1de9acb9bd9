package snapshot

// Types of state handles (MetadataV2V3SerializerBase).
const (
	none             = 0
	byteStream       = 1
	fileStream       = 2
	keyGroups        = 3
	partitionable    = 4
	incremental      = 5
	relativeFile     = 6
	keyGroupsSaved   = 7
	changelog        = 8
	changelogBytes   = 9
	changelogFiles   = 10
	incrementalV2    = 11
	keyGroupsV2      = 12
	changelogFilesV2 = 13
	changelogV2      = 14
	segment          = 15
	emptySegment     = 16
	partitionableSeg = 17
)

// maxDepth bounds handles within handles; Flink nests two.
const maxDepth = 8

// sizes adds what one handle says about its size; has says that any was there.
type sizes struct {
	total int64
	has   bool
}

func (s *sizes) add(size int64, has bool) {
	if !has {
		return
	}
	s.has = true
	if s.total += max(0, size); s.total < 0 {
		s.total = 1<<63 - 1
	}
}

// subtask reads one subtask's state.
func (r *reader) subtask() (int64, bool) {
	var all sizes
	for range 2 { // managed, raw
		if r.int() != 0 {
			all.add(r.operatorState())
		}
	}
	for range 2 {
		all.add(r.keyed(0))
	}
	r.times(r.int(), "input channels", func() { all.add(r.channel(1, 3)) })
	r.times(r.int(), "result partitions", func() { all.add(r.channel(2, 4)) })
	return all.total, all.has
}

// operatorState is state that is split by names and offsets, not by keys.
func (r *reader) operatorState() (int64, bool) {
	kind := r.byte()
	switch kind {
	case none:
		return 0, false
	case partitionable, partitionableSeg:
	default:
		r.fail("has operator state of a type that is not known: %d", kind)
		return 0, false
	}
	r.times(r.int(), "states", func() {
		r.skipText()
		r.byte() // how it is distributed
		r.skip(8 * int64(r.length("offsets")))
	})
	if kind == partitionableSeg {
		r.skipText()
		r.skipText()
		r.byte() // whether it is empty
	}
	size, _ := r.stream(0)
	return size, true // also without a file: the handle itself counts (StateObjectCollection.hasState)
}

// keyed is state by key groups.
func (r *reader) keyed(depth int) (int64, bool) {
	if depth > maxDepth {
		r.fail("nests its state deeper than Flink does")
	}
	if r.err != nil {
		return 0, false
	}
	var all sizes
	all.has = true
	kind := r.byte()
	switch kind {
	case none:
		return 0, false
	case keyGroups, keyGroupsV2, keyGroupsSaved:
		r.skip(4)
		r.skip(8 * int64(r.length("key groups")))
		all.add(r.stream(0))
		if kind == keyGroupsV2 {
			r.skipText()
		}
	case incremental, incrementalV2:
		r.incremental(kind, &all)
	case changelog, changelogV2:
		r.skip(4 + 4 + 8) // key groups, size of this checkpoint's part
		for range 2 {     // materialized, not yet
			r.times(r.int(), "parts of a changelog", func() { all.add(r.keyed(depth + 1)) })
		}
		r.skip(8)
		if kind == changelogV2 {
			r.skip(8)
		}
		r.skipText()
	case changelogBytes:
		r.skip(4 + 4 + 8 + 8)
		r.times(r.int(), "changes", func() {
			r.skip(4)
			length := int64(r.length("change"))
			r.skip(length)
			all.add(length, true)
		})
		r.skipText()
	case changelogFiles, changelogFilesV2:
		r.skip(4 + 4)
		r.times(r.int(), "files of a changelog", func() {
			r.skip(8)
			r.stream(0)
		})
		all.add(r.long(), true)
		r.skip(8)
		r.skipText()
		if kind == changelogFilesV2 {
			r.skipText()
		}
	default:
		r.fail("has keyed state of a type that is not known: %d", kind)
	}
	return all.total, all.has
}

// incremental is RocksDB's: a file of its own metadata, shared and private files.
func (r *reader) incremental(kind byte, all *sizes) {
	r.skip(8)
	r.skipText()
	r.skip(4 + 4)
	if kind == incrementalV2 {
		r.skip(8) // what this checkpoint added: the whole is the sum of the files
	}
	all.add(r.stream(0))
	for range 2 {
		r.times(r.int(), "files", func() {
			r.skipText()
			all.add(r.stream(0))
		})
	}
	if kind == incrementalV2 {
		r.skipText()
	}
}

// stream is a file, or bytes in the metadata itself.
func (r *reader) stream(depth int) (int64, bool) {
	if depth > maxDepth {
		r.fail("nests its state deeper than Flink does")
	}
	if r.err != nil {
		return 0, false
	}
	var size int64
	switch kind := r.byte(); kind {
	case none:
		return 0, false
	case byteStream:
		r.skipText()
		size = int64(r.length("state"))
		r.skip(size)
	case fileStream:
		size = r.long()
		r.refers(false, r.path(), size)
	case relativeFile:
		name := r.path()
		size = r.long()
		r.refers(true, name, size)
	case keyGroups:
		r.skip(4)
		r.skip(8 * int64(r.length("key groups")))
		size, _ = r.stream(depth + 1)
	case segment:
		r.skip(8) // where it begins in a file that others share
		size = r.long()
		r.skip(4)
		r.refers(false, r.path(), 0) // it may still be open, and longer than a listing says
		r.skipText()
	case emptySegment:
	default:
		r.fail("has a state handle of a type that is not known: %d", kind)
	}
	return max(0, size), r.err == nil
}

// channel is what was on the way between two tasks (unaligned checkpoints). From
// withMerged on it says its type: single or merged.
func (r *reader) channel(single, merged byte) (int64, bool) {
	kind := single
	if r.version >= withMerged {
		kind = r.byte()
	}
	r.skip(4) // subtask
	var size int64
	switch kind {
	case single:
		r.skip(4 + 4)
		r.skip(8 * int64(r.length("offsets")))
		size = r.long()
		r.stream(0)
	case merged:
		size = r.long()
		r.stream(0)
		r.skip(int64(r.length("offsets")))
	default:
		r.fail("has channel state of a type that is not known: %d", kind)
	}
	return size, r.err == nil
}
