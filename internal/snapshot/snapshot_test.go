package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"sluice/internal/snapshot"
)

// java writes as DataOutputStream does.
type java struct{ bytes.Buffer }

func (j *java) put(values ...any) *java {
	for _, v := range values {
		switch v := v.(type) {
		case string: // writeUTF
			_ = binary.Write(j, binary.BigEndian, uint16(len(v)))
			j.WriteString(v)
		case int:
			_ = binary.Write(j, binary.BigEndian, int32(v))
		default: // byte, int64, []byte, []int64
			_ = binary.Write(j, binary.BigEndian, v)
		}
	}
	return j
}

func head(version int, operators int) *java {
	return new(java).put(0x4960672d, version, int64(7),
		1, uint32(0xc96b1696), 3, []byte{1, 2, 3}, // one master state
		operators)
}

var (
	idA = []byte("AAAAAAAAaaaaaaaa")
	idB = []byte("BBBBBBBBbbbbbbbb")
)

const (
	hexA = "41414141414141416161616161616161"
	hexB = "42424242424242426262626262626262"
)

// file, inline and relative are stream handles of 100, 3 and 10 bytes.
func file(j *java)     { j.put(byte(2), int64(100), "hdfs://nn/sluice/x") }
func inline(j *java)   { j.put(byte(1), "name", 3, []byte("abc")) }
func relative(j *java) { j.put(byte(6), "uuid", int64(10)) }

// everything is a subtask with each type of state that Flink 1.20 and 2.3 write,
// one of each a subtask; bytes is their size.
func everything(version int) (subtasks []*java, bytes int64) {
	add := func(size int64, write func(j *java)) {
		j := new(java).put(len(subtasks)) // its index
		write(j)
		subtasks, bytes = append(subtasks, j), bytes+size
	}
	noOperatorState := func(j *java) { j.put(0, 0) }
	noChannels := func(j *java) { j.put(0, 0) }
	keyed := func(size int64, write func(j *java)) {
		add(size, func(j *java) {
			noOperatorState(j)
			write(j)
			j.put(byte(0)) // no raw keyed state
			noChannels(j)
		})
	}
	add(100, func(j *java) { // operator state, whole and in a shared file
		j.put(1, byte(4), 1, "offsets", byte(0), 2, []int64{0, 8})
		file(j)
		j.put(1, byte(17), 0, "shared", "private", byte(1), byte(16))
		j.put(byte(0), byte(0))
		noChannels(j)
	})
	for kind, id := range map[byte]bool{3: false, 7: false, 12: true} {
		keyed(3, func(j *java) {
			j.put(kind, 0, 2, []int64{0, 8})
			inline(j)
			if id {
				j.put("state-handle-id")
			}
		})
	}
	keyed(120, func(j *java) { // RocksDB, version 2 of the handle
		j.put(byte(11), int64(6), "backend", 0, 128, int64(5))
		relative(j)
		j.put(1, "000001.sst")
		file(j)
		j.put(1, "CURRENT")
		relative(j)
		j.put("state-handle-id")
	})
	keyed(10, func(j *java) { // version 1
		j.put(byte(5), int64(6), "backend", 0, 128)
		relative(j)
		j.put(0, 0)
	})
	for kind := range map[byte]bool{8: true, 14: true} {
		keyed(100+3+5, func(j *java) { // a changelog of a materialized part, changes and a file
			j.put(kind, 0, 128, int64(1), 1, byte(7), 0, 1, []int64{0})
			file(j)
			j.put(2, byte(9), 0, 128, int64(0), int64(1), 1, 5, 3, []byte("abc"), "id")
			j.put(byte(13), 0, 128, 1, int64(0))
			relative(j)
			j.put(int64(5), int64(5), "id", "filesystem")
			j.put(int64(2))
			if kind == 14 {
				j.put(int64(7))
			}
			j.put("id")
		})
	}
	add(40+50, func(j *java) { // channel state
		noOperatorState(j)
		j.put(byte(0), byte(0))
		for kind, size := range []int64{40, 50} {
			j.put(1)
			if version >= 6 {
				j.put(byte(kind + 1))
			}
			j.put(0, 0, 0, 1, []int64{0}, size)
			j.put(byte(15), int64(7), int64(99), 0, "file", "logical")
		}
	})
	if version >= 6 {
		add(60+70, func(j *java) { // merged
			noOperatorState(j)
			j.put(byte(0), byte(0))
			for kind, size := range []int64{60, 70} {
				j.put(1, byte(kind+3), 0, size)
				file(j)
				j.put(2, []byte{1, 2})
			}
		})
	}
	add(0, func(j *java) { // nothing at all
		noOperatorState(j)
		j.put(byte(0), byte(0))
		noChannels(j)
	})
	return subtasks, bytes
}

// metadata has four operators: one with everything, one whose only state is a
// coordinator's, one fully finished, and one with a finished subtask.
func metadata(version int) ([]byte, int64, int) {
	j := head(version, 4)
	name := func(texts ...any) {
		if version >= 5 {
			j.put(texts...)
		}
	}
	subtasks, size := everything(version)
	name("count", "count-uid")
	j.put(idA, len(subtasks), 128, byte(0), len(subtasks))
	for _, s := range subtasks {
		j.Write(s.Bytes())
	}
	name("", "")
	j.put(idB, 1, 1)
	inline(j)
	j.put(0)
	name("", "")
	j.put(idB, 2, 128, byte(0), -1)
	name("", "")
	j.put(idB, 2, 128, byte(0), 1, -2)
	if version >= 4 {
		j.put([]byte{0xac, 0xed, 0, 5, 'p'})
	}
	return j.Bytes(), size, len(subtasks)
}

func TestParse(t *testing.T) {
	for version := 3; version <= 6; version++ {
		data, size, subtasks := metadata(version)
		s, err := snapshot.Parse(iotest.OneByteReader(bytes.NewReader(data)))
		require.NoError(t, err, version)
		first := snapshot.Operator{ID: hexA, Parallelism: subtasks, MaxParallelism: 128, Collected: subtasks, Subtasks: subtasks - 1, Bytes: size}
		if version >= 5 {
			first.Name, first.UID = "count", "count-uid"
		}
		want := []snapshot.Operator{
			first,
			{ID: hexB, Parallelism: 1, MaxParallelism: 1, Bytes: 3, Coordinator: true},
			{ID: hexB, Parallelism: 2, MaxParallelism: 128},
			{ID: hexB, Parallelism: 2, MaxParallelism: 128, Collected: 1},
		}
		require.Equal(t, snapshot.Snapshot{Version: int32(version), CheckpointID: 7, Operators: want}, s)
		require.True(t, s.Operators[0].HasState())
		require.True(t, s.Operators[1].HasState())
		require.False(t, s.Operators[2].HasState())
	}
}

// Wherever a file ends too early, and whatever doesn't belong there, is told as
// what it is.
func TestParseRefuses(t *testing.T) {
	for version := 3; version <= 6; version++ {
		data, _, _ := metadata(version)
		last := len(data)
		if version >= 4 {
			last -= 3 // only the beginning of what follows is looked at
		}
		for n := range last {
			_, err := snapshot.Parse(bytes.NewReader(data[:n]))
			var format *snapshot.FormatError
			require.ErrorAs(t, err, &format, "version %d, %d bytes of %d", version, n, len(data))
		}
	}
	for name, data := range map[string][]byte{
		"older than 1.11":     new(java).put(0x4960672d, 2, int64(7)).Bytes(),
		"a future version":    new(java).put(0x4960672d, 7, int64(7)).Bytes(),
		"master state":        new(java).put(0x4960672d, 4, int64(7), 1, 5).Bytes(),
		"negative operators":  new(java).put(0x4960672d, 4, int64(7), 0, -1).Bytes(),
		"too many operators":  new(java).put(0x4960672d, 4, int64(7), 0, 1<<30).Bytes(),
		"lost way":            new(java).put(0x4960672d, 4, int64(7), 0, 0, []byte("0123")).Bytes(),
		"trailing":            new(java).put(0x4960672d, 3, int64(7), 0, 0, []byte("0")).Bytes(),
		"negative key groups": head(4, 1).put(idA, 1, 1, byte(0), 1, 0, 0, 0, byte(3), 0, -1).Bytes(),
		"unknown handle":      head(4, 1).put(idA, 1, 1, byte(99)).Bytes(),
		"unknown keyed state": head(4, 1).put(idA, 1, 1, byte(0), 1, 0, 0, 0, byte(99)).Bytes(),
		"unknown state":       head(4, 1).put(idA, 1, 1, byte(0), 1, 0, 1, byte(99)).Bytes(),
		"endless key groups":  head(4, 1).put(idA, 1, 1, bytes.Repeat(new(java).put(byte(3), 0, 0).Bytes(), 1000)).Bytes(),
		"endless changelogs":  head(4, 1).put(idA, 1, 1, byte(0), 1, 0, 0, 0, bytes.Repeat(new(java).put(byte(8), 0, 0, int64(0), 1).Bytes(), 1000)).Bytes(),
		"a text file":         []byte("hello, this is no savepoint at all"),
	} {
		_, err := snapshot.Parse(bytes.NewReader(data))
		var format *snapshot.FormatError
		require.ErrorAs(t, err, &format, name)
	}
}

func TestHeader(t *testing.T) {
	header := func(magic uint32, version int, id int64) []byte { return new(java).put(magic, version, id).Bytes() }
	version, id, err := snapshot.Header(header(0x4960672d, 4, 42))
	require.NoError(t, err)
	require.EqualValues(t, 4, version)
	require.EqualValues(t, 42, id)
	for name, bytes := range map[string][]byte{
		"empty": nil, "short": header(0x4960672d, 4, 42)[:15], "magic": header(1, 4, 42),
		"version 1": header(0x4960672d, 1, 42), "version 7": header(0x4960672d, 7, 42), "negative": header(0x4960672d, 4, -1),
	} {
		_, _, err := snapshot.Header(bytes)
		require.Error(t, err, name)
	}
}

func TestSizesNeverOverflow(t *testing.T) {
	huge := func(j *java) { j.put(byte(2), int64(1<<63-1), "x") }
	j := head(4, 1).put(idA, 2, 128, byte(0), 2)
	for i := range 2 {
		j.put(i, 0, 0, byte(7), 0, 0)
		huge(j)
		j.put(byte(0), 0, 0)
	}
	j.put([]byte{0xac, 0xed})
	s, err := snapshot.Parse(j)
	require.NoError(t, err)
	require.EqualValues(t, int64(1<<63-1), s.Operators[0].Bytes)
}

func TestAReadersErrorIsItsOwn(t *testing.T) {
	data, _, _ := metadata(4)
	broken := errors.New("the DataNode went away")
	_, err := snapshot.Parse(io.MultiReader(bytes.NewReader(data[:60]), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	var format *snapshot.FormatError
	require.NotErrorAs(t, err, &format)
}

func TestLongNamesAreCut(t *testing.T) {
	j := head(6, 1).put(strings.Repeat("ä", 1000), "u\xed\xa0\x80", idA, 1, 1, byte(0), 0, []byte{0xac, 0xed})
	s, err := snapshot.Parse(j)
	require.NoError(t, err)
	require.LessOrEqual(t, len(s.Operators[0].Name), 200)
	require.Equal(t, "u�", s.Operators[0].UID)
}

// judge is what must hold of any bytes.
func judge(t *testing.T, data []byte) {
	t.Helper()
	s, err := snapshot.Parse(bytes.NewReader(data))
	if err != nil {
		var format *snapshot.FormatError
		require.ErrorAs(t, err, &format)
		return
	}
	require.LessOrEqual(t, 29*len(s.Operators), len(data), "each operator takes room in the file")
	for _, o := range s.Operators {
		require.GreaterOrEqual(t, o.Bytes, int64(0))
		require.Len(t, o.ID, 32)
	}
}

// TestDamaged is the fuzz test's little brother, for every run.
func TestDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for version := 3; version <= 6; version++ {
		whole, _, _ := metadata(version)
		for range 3000 {
			data := bytes.Clone(whole)
			for range 1 + random.IntN(4) {
				data[random.IntN(len(data))] = byte(random.Uint32())
			}
			judge(t, data)
		}
	}
}

func FuzzParse(f *testing.F) {
	for version := 3; version <= 6; version++ {
		data, _, _ := metadata(version)
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/*/_metadata")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(judge)
}

// TestRealOnes: what Flink itself reads in snapshots that it wrote of the test
// job counter: savepoints (native, canonical) and checkpoints, of both versions and
// state backends, with a changelog and with merged files. testdata/Dump.java made
// flink-reads.txt.
func TestRealOnes(t *testing.T) {
	files, err := filepath.Glob("testdata/*/_metadata")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := snapshot.Parse(bytes.NewReader(data))
		require.NoError(t, err, file)
		var got strings.Builder
		fmt.Fprintf(&got, "checkpoint %d\n", s.CheckpointID)
		for _, o := range s.Operators {
			fmt.Fprintf(&got, "%s name=%s uid=%s parallelism=%d max=%d collected=%d state=%d coordinator=%t bytes=%d\n",
				o.ID, o.Name, o.UID, o.Parallelism, o.MaxParallelism, o.Collected, o.Subtasks, o.Coordinator, o.Bytes)
		}
		want, err := os.ReadFile(filepath.Join(filepath.Dir(file), "flink-reads.txt"))
		require.NoError(t, err)
		require.Equal(t, string(want), got.String(), file)
		judge(t, data)
	}
}
