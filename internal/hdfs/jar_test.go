package hdfs

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

func jarOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for _, name := range names {
		entry, err := w.Create(name)
		require.NoError(t, err)
		_, err = entry.Write([]byte("content of " + name))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buffer.Bytes()
}

func TestCheckJar(t *testing.T) {
	good := jarOf(t, "META-INF/MANIFEST.MF", "io/sluice/Main.class")
	lying := bytes.Clone(good) // its end says: one entry
	end := len(lying) - 22
	binary.LittleEndian.PutUint16(lying[end+10:], 1)
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint16(huge[end+10:], 0xffff) // as zip64 would, without being it

	for name, c := range map[string]struct {
		content []byte
		code    failure.Code
	}{
		"a jar":                     {good, ""},
		"a jar with a comment":      {withComment(t, good), ""},
		"nothing":                   {nil, failure.Invalid},
		"text":                      {[]byte("<html>not found</html>"), failure.Invalid},
		"no entries":                {jarOf(t), failure.Invalid},
		"cut off":                   {good[:len(good)-30], failure.Invalid},
		"entries cut out":           {append(bytes.Clone(good[:40]), good[60:]...), failure.Invalid},
		"more entries than it says": {lying, failure.Invalid},
		"zip64 that is none":        {huge, failure.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckJar(bytes.NewReader(c.content), int64(len(c.content)))
			require.Equal(t, c.code, failure.CodeOf(err), "%v", err)
		})
	}
}

func withComment(t *testing.T, jar []byte) []byte {
	t.Helper()
	const comment = "built by nobody"
	jar = bytes.Clone(jar)
	binary.LittleEndian.PutUint16(jar[len(jar)-2:], uint16(len(comment)))
	return append(jar, comment...)
}

func TestCheckJarBoundsEntries(t *testing.T) {
	err := zipDirectory{entries: maxJarEntries + 1}.walk(bytes.NewReader(nil))
	require.Equal(t, failure.TooLarge, failure.CodeOf(err))
}
