package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// When a meter speaks: nobody needs it for what is quick, and a log fills up with
// lines where a terminal redraws one.
const (
	meterQuiet = 2 * time.Second
	meterLive  = time.Second
	meterLines = 5 * time.Second
)

// meter counts what is read and says how far that is.
type meter struct {
	io.Reader
	w     io.Writer
	what  string
	total int64
	live  bool // one line of a terminal, redrawn
	now   func() time.Time

	mutex sync.Mutex // the transport may go on reading when the answer is there
	done  int64
	next  time.Time // not before it is said again
	said  bool
	over  bool
}

func (a *app) meter(what string, r io.Reader, total int64) *meter {
	m := &meter{Reader: r, w: a.err, what: clean(what), total: total, live: terminal(a.err), now: time.Now}
	m.next = m.now().Add(meterQuiet)
	return m
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.done += int64(n)
	if now := m.now(); !m.over && now.After(m.next) {
		m.say(now)
	}
	return n, err
}

func (m *meter) say(now time.Time) {
	text := fmt.Sprintf("%s: %s of %s", m.what, size(m.done), size(m.total))
	m.said = true
	if m.live {
		m.next = now.Add(meterLive)
		_, _ = fmt.Fprint(m.w, clearLine+text)
		return
	}
	m.next = now.Add(meterLines)
	_, _ = fmt.Fprintln(m.w, text)
}

// close clears the line; nothing is said after it.
func (m *meter) close() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.over = true
	if m.said && m.live {
		_, _ = fmt.Fprint(m.w, clearLine)
	}
}
