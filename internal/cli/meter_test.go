package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// reads takes n bytes, one a step of the clock.
func reads(t *testing.T, live bool, n int, step time.Duration) string {
	t.Helper()
	var said bytes.Buffer
	a := &app{err: &said}
	m := a.meter("sending a.jar", iotest.OneByteReader(strings.NewReader(strings.Repeat("x", n))), int64(n))
	clock := time.Now()
	m.live, m.next = live, clock.Add(meterQuiet)
	m.now = func() time.Time { clock = clock.Add(step); return clock }
	_, err := io.ReadFull(m, make([]byte, n))
	require.NoError(t, err)
	m.close()
	before := said.String()
	_, err = m.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, before, said.String(), "nothing after the close")
	return before
}

func TestAMeterSpeaksOnlyOfWhatIsSlow(t *testing.T) {
	require.Empty(t, reads(t, false, 2048, time.Millisecond/2))
	require.Empty(t, reads(t, true, 2048, time.Millisecond/2))
	require.Equal(t, "sending a.jar: 1.0 KiB of 6.0 KiB\nsending a.jar: 3.4 KiB of 6.0 KiB\nsending a.jar: 5.9 KiB of 6.0 KiB\n",
		reads(t, false, 6148, 2*time.Millisecond), "after 2 s, then every 5 s")
	const line = "\r\033[Ksending a.jar: "
	require.Equal(t, line+"1.0 KiB of 2.0 KiB"+line+"1.5 KiB of 2.0 KiB"+line+"2.0 KiB of 2.0 KiB"+"\r\033[K",
		reads(t, true, 2048, 2*time.Millisecond), "after 2 s, then every second")
}
