//nolint:bodyclose // send closes the body of every answer
package look

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
)

// jobManager answers by handle; what it was sent is kept.
type jobManager struct {
	way  Way
	seen []*http.Request
	body string
}

func start(t *testing.T, handle http.HandlerFunc) *jobManager {
	t.Helper()
	j := &jobManager{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		j.seen, j.body = append(j.seen, r), j.body+string(body)
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	j.way = Way{To: "the JobManager", Base: base, Transport: &http.Transport{}}
	return j
}

// door is the server before it.
func (j *jobManager) door(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := Parse(r, prefix)
		if err == nil {
			err = j.way.Forward(w, r, read)
		}
		if err != nil {
			Refuse(w, r, err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func send(t *testing.T, method, address string, body io.Reader, header http.Header) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, body)
	require.NoError(t, err)
	for name, values := range header {
		request.Header[name] = values
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response, content, err
}

func TestNothingOfTheCallersGoesThrough(t *testing.T) {
	j := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Set-Cookie", "flink=1")
		w.Header().Set("Server", "netty")
		_, _ = w.Write([]byte(`{"jobs":[]}`))
	})
	j.way.Header = http.Header{"Sluice-Job-Uid": {"01J"}}
	response, content, err := send(t, http.MethodGet, j.door(t).URL+prefix+"/jobs/overview?get=b&agg=a", strings.NewReader("a body"), http.Header{
		"Authorization": {"Bearer t0ken"}, "Proxy-Authorization": {"Basic x"}, "Cookie": {"session=1"}, "X-Forwarded-For": {"10.0.0.1"}, "Forwarded": {"for=x"},
		"Connection": {"Upgrade, X-Hop"}, "Upgrade": {"websocket"}, "X-Hop": {"1"}, "Te": {"trailers"}, "Expect": {""}, "Sluice-Job-Uid": {"another"},
		"X-Http-Method-Override": {"DELETE"}, "Origin": {"http://evil"}, "Accept": {"application/json"}, "If-Modified-Since": {"Mon, 02 Nov 2026 10:00:00 GMT"},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.JSONEq(t, `{"jobs":[]}`, string(content))
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	for _, name := range []string{"Access-Control-Allow-Origin", "Set-Cookie", "Server"} {
		require.Empty(t, response.Header.Get(name), name)
	}

	require.Len(t, j.seen, 1)
	got := j.seen[0]
	require.Equal(t, "GET /jobs/overview?agg=a&get=b", got.Method+" "+got.RequestURI)
	require.Equal(t, j.way.Base.Host, got.Host)
	require.Empty(t, j.body)
	got.Header.Del("Accept-Encoding") // net/http's own
	require.Equal(t, http.Header{
		"Accept": {"application/json"}, "If-Modified-Since": {"Mon, 02 Nov 2026 10:00:00 GMT"}, "Sluice-Job-Uid": {"01J"}, "User-Agent": {"sluice-look"},
	}, got.Header)
	require.Equal(t, http.Header{"Sluice-Job-Uid": {"01J"}}, j.way.Header, "the way itself is as it was")
}

func TestHostileRequestsReachNobody(t *testing.T) {
	j := start(t, func(http.ResponseWriter, *http.Request) {})
	door := j.door(t)
	for _, address := range hostile {
		request := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: door.Listener.Addr().String(), Opaque: prefix + address}, Header: http.Header{}}
		response, err := door.Client().Do(request.WithContext(t.Context()))
		if err != nil {
			continue // no client writes it so
		}
		_ = response.Body.Close()
		require.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest, address)
	}
	for _, method := range []string{"POST", "PATCH", "PUT", "DELETE"} {
		response, _, err := send(t, method, door.URL+prefix+"/jobs/"+flinkJob, http.NoBody, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
		require.Equal(t, Methods, response.Header.Get("Allow"))
	}
	require.Empty(t, j.seen)
}

func TestWhatFlinkSaysOfItsOwnComesBack(t *testing.T) {
	j := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":["Job not found"]}`))
	})
	response, content, err := send(t, http.MethodGet, j.door(t).URL+prefix+"/jobs/"+flinkJob, http.NoBody, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	require.JSONEq(t, `{"errors":["Job not found"]}`, string(content))
}

func TestARedirectionIsNotFollowedAndNotPassedOn(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		j := start(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jars" {
				t.Error("it was followed")
			}
			http.Redirect(w, r, "/jars", status)
		})
		response, content, err := send(t, http.MethodGet, j.door(t).URL+prefix+"/config", http.NoBody, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.Empty(t, response.Header.Get("Location"))
		require.Contains(t, string(content), "follows nobody")
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	for name, announced := range map[string]bool{"announced": true, "not announced": false} {
		j := start(t, func(w http.ResponseWriter, _ *http.Request) {
			if announced {
				w.Header().Set("Content-Length", "99999999")
			}
			for chunk := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
		response, content, err := send(t, http.MethodGet, j.door(t).URL+prefix+"/jobs", http.NoBody, nil)
		require.LessOrEqual(t, len(content), maxAnswer, name)
		if announced {
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		} else {
			require.Error(t, err, "cut off, and seen to be")
		}
	}
}

// silent never answers.
type silent struct{ asked chan *http.Request }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked <- r
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestALookEnds(t *testing.T) {
	base, err := url.Parse("http://orders-g1-jobmanager:8081")
	require.NoError(t, err)
	s := silent{make(chan *http.Request, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, bounded := (<-s.asked).Context().Deadline()
		if !bounded {
			t.Error("it may take for ever")
		}
		cancel() // the browser was closed
	}()
	err = Way{To: "the JobManager", Base: base, Transport: s}.Forward(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody), Read{Path: "/config"})
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.True(t, errors.Is(err, context.Canceled))
	require.Contains(t, failure.Of(err).Message, "the JobManager does not answer")
}
