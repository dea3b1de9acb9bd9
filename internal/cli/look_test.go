//nolint:bodyclose // fetch closes the body of every answer
package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

const flink = "/v1/tenants/shop/jobs/orders/flink"

// flinkServer is an api with a job that runs.
func flinkServer(t *testing.T) *server {
	t.Helper()
	s := serve(t)
	s.mux.HandleFunc("GET "+flink+"/", func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimPrefix(r.URL.Path, flink); path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<flink-root>"))
		case "/config", "/jobs/overview":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"of": path})
		case "/jobs/missing":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("{\"errors\":[\"Job not found\x1b[2J\"]}"))
		default:
			_ = problem.Write(w, failure.New(failure.Forbidden, "not on the list"), r.URL.Path)
		}
	})
	return s
}

func TestRest(t *testing.T) {
	s := flinkServer(t)
	code, out, _ := sluice(t, "job", "rest", "orders", "/jobs/overview?get=a")
	require.Equal(t, exitOK, code)
	require.JSONEq(t, `{"of":"/jobs/overview"}`, out)
	require.Equal(t, []string{"GET " + flink + "/jobs/overview?get=a"}, s.asked)

	code, out, errors := sluice(t, "job", "rest", "orders", "/jobs/missing")
	require.Equal(t, exitNotFound, code)
	require.Empty(t, out)
	require.Contains(t, errors, "Job not found")
	require.NotContains(t, errors, "\x1b")
	code, _, _ = sluice(t, "job", "rest", "orders", "/jars")
	require.Equal(t, exitNotFound, code, "forbidden")
	for _, args := range [][]string{{"orders", "jobs"}, {"orders", "/%zz"}, {"Orders_", "/jobs"}, {"orders"}, {"orders", ""}} {
		code, _, _ = sluice(t, append([]string{"job", "rest"}, args...)...)
		require.Equal(t, exitInvalid, code, "%v", args)
	}
}

// ui starts the command and gives the address that it prints.
func ui(t *testing.T) (address *url.URL, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"job", "ui", "orders"}, in, io.Discard)
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address, err = url.Parse(strings.TrimSpace(line))
	require.NoError(t, err)
	end = func() int { cancel(); return <-code }
	t.Cleanup(cancel)
	return address, end
}

func fetch(t *testing.T, method, address, host string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	require.NoError(t, err)
	request.Host = host
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	require.NoError(t, err)
	return response, body.String()
}

func TestUIIsOnePersons(t *testing.T) {
	s := flinkServer(t)
	address, end := ui(t)
	require.Equal(t, "127.0.0.1", address.Hostname())
	require.GreaterOrEqual(t, len(strings.Trim(address.Path, "/")), 26, "a key that nobody guesses")

	response, body := fetch(t, http.MethodGet, address.String(), "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "<flink-root>", body)
	require.Equal(t, "no-referrer", response.Header.Get("Referrer-Policy"))
	_, body = fetch(t, http.MethodGet, address.JoinPath("jobs/overview").String(), "localhost:"+address.Port())
	require.JSONEq(t, `{"of":"/jobs/overview"}`, body)
	asked := len(s.asked)

	for name, c := range map[string]struct {
		method, address, host string
		want                  int
	}{
		"a name that was made to point here": {"GET", address.String(), "evil.example:" + address.Port(), http.StatusForbidden},
		"another port's name":                {"GET", address.String(), "127.0.0.1:1", http.StatusForbidden},
		"without the key":                    {"GET", "http://" + address.Host + "/jobs/overview", "", http.StatusNotFound},
		"with another key":                   {"GET", "http://" + address.Host + "/" + strings.Repeat("A", 26) + "/", "", http.StatusNotFound},
		"a cancel":                           {"PATCH", address.JoinPath("jobs/overview").String(), "", http.StatusMethodNotAllowed},
		"an upload":                          {"POST", address.JoinPath("jars/upload").String(), "", http.StatusMethodNotAllowed},
		"jars":                               {"GET", address.JoinPath("jars").String(), "", http.StatusForbidden},
		"another job of the api's":           {"GET", address.String() + "..%2f..%2fother/flink/config", "", http.StatusForbidden},
	} {
		response, body := fetch(t, c.method, c.address, c.host)
		require.Equal(t, c.want, response.StatusCode, "%s: %s", name, body)
		require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"), name)
		require.NotContains(t, body, "t0ken")
	}
	require.Len(t, s.asked, asked, "none of them left this machine")
	require.Equal(t, exitOK, end())
}

func TestUISaysAtOnceWhatItCantShow(t *testing.T) {
	s := serve(t)
	s.problem("GET "+flink+"/config", failure.New(failure.NotFound, "job shop/orders does not run"))
	code, out, errors := sluice(t, "job", "ui", "orders")
	require.Equal(t, exitNotFound, code)
	require.Empty(t, out)
	require.Contains(t, errors, "does not run")
	flinkServer(t)
	code, _, errors = sluice(t, "job", "ui", "orders", "--port", "70000")
	require.Equal(t, exitInvalid, code, errors)
}
