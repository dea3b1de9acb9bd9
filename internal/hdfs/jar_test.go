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
		"no manifest":               {jarOf(t, "io/sluice/Main.class"), failure.Invalid},
		"a way out":                 {jarOf(t, "META-INF/MANIFEST.MF", "lib/../../../etc/cron.d/x"), failure.Invalid},
		"an absolute path":          {jarOf(t, "META-INF/MANIFEST.MF", "/etc/passwd"), failure.Invalid},
		"a Windows path":            {jarOf(t, "META-INF/MANIFEST.MF", `..\x`), failure.Invalid},
		"a drive":                   {jarOf(t, "META-INF/MANIFEST.MF", "C:x"), failure.Invalid},
		"a zero byte in a name":     {jarOf(t, "META-INF/MANIFEST.MF", "a\x00b"), failure.Invalid},
		"two dots in a name":        {jarOf(t, "META-INF/MANIFEST.MF", "a..b/c..d"), ""},
		"an encrypted entry":        {changed(good, 8, 1, 0), failure.Invalid},
		"packed by bzip2":           {changed(good, 10, 12, 0), failure.Invalid},
		"behind its own directory":  {changed(good, 42, 0xff, 0xff, 0xff, 0x7f), failure.Invalid},
		"unpacks to 3.9 GB":         {changed(good, 24, 0xf0, 0xff, 0xff, 0xe8), failure.TooLarge},
		"larger than itself":        {changed(changed(good, 20, 0xbe, 0), 66+20, 0xbe, 0), failure.TooLarge},
		"4 GiB without zip64":       {changed(good, 24, 0xff, 0xff, 0xff, 0xff), failure.TooLarge},
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

// changed writes over what the directory says of the first entry.
func changed(jar []byte, at int, values ...byte) []byte {
	jar = bytes.Clone(jar)
	copy(jar[bytes.Index(jar, []byte("PK\x01\x02"))+at:], values)
	return jar
}

// A zip bomb: 70 MiB of zeros in 200 KB, checked without unpacking any.
func TestCheckJarRefusesABomb(t *testing.T) {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	_, err := w.Create(manifestName)
	require.NoError(t, err)
	entry, err := w.Create("zeros")
	require.NoError(t, err)
	_, err = entry.Write(make([]byte, 70<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	err = CheckJar(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
	require.Equal(t, failure.TooLarge, failure.CodeOf(err), "%v", err)
	require.Contains(t, err.Error(), "more than 100 times its own size")
}

func withComment(t *testing.T, jar []byte) []byte {
	t.Helper()
	const comment = "built by nobody"
	jar = bytes.Clone(jar)
	binary.LittleEndian.PutUint16(jar[len(jar)-2:], uint16(len(comment)))
	return append(jar, comment...)
}

func TestCheckJarBoundsEntries(t *testing.T) {
	err := zipDirectory{entries: maxJarEntries + 1}.walk(bytes.NewReader(nil), 0)
	require.Equal(t, failure.TooLarge, failure.CodeOf(err))
}
