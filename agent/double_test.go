//go:build contract

package agent

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	colinmarc "github.com/colinmarc/hdfs/v2"
	"github.com/stretchr/testify/require"

	"sluice/internal/flink"
	"sluice/internal/flink/flinktest"
)

// rawHDFS is the library itself, to do what the platform's client never would.
func rawHDFS(t *testing.T, user string) *colinmarc.Client {
	t.Helper()
	h, err := colinmarc.NewClient(colinmarc.ClientOptions{Addresses: []string{env(t, "SLUICE_HDFS")}, User: user})
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// lossy stands before the real JobManager: it passes every request on, then
// loses or delays the answers that it was told to.
type lossy struct {
	url   string
	mutex sync.Mutex
	rules []*rule
}

type rule struct {
	method, part string
	times        int
	held         *held
}

type held struct {
	reached chan struct{}
	release chan struct{}
}

func newLossy(t *testing.T, to string) *lossy {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	l := &lossy{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = flink.NewTransport(flinktest.Doors())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule := l.take(r)
		if rule == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		if rule.held != nil {
			close(rule.held.reached)
			<-rule.held.release
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r) // Flink did it
		panic(http.ErrAbortHandler)                // nobody hears of it
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *lossy) take(r *http.Request) *rule {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, rule := range l.rules {
		if rule.times > 0 && (rule.method == "" || rule.method == r.Method) && strings.Contains(r.URL.Path, rule.part) {
			rule.times--
			return rule
		}
	}
	return nil
}

func (l *lossy) lose(method, part string, times int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.rules = append(l.rules, &rule{method: method, part: part, times: times})
}

// hold keeps the next request to part from Flink until it is released.
func (l *lossy) hold(part string) *held {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	h := &held{reached: make(chan struct{}), release: make(chan struct{})}
	l.rules = append(l.rules, &rule{part: part, times: 1, held: h})
	return h
}

func (l *lossy) left() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	left := 0
	for _, rule := range l.rules {
		left += rule.times
	}
	return left
}
