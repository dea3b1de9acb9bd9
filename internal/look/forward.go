package look

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"time"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// Limits of an answer.
const (
	maxAnswer = 32 << 20 // bytes: the details of a job of thousands of vertices have a few MiB
	maxTime   = 30 * time.Second
)

// Way is the next door of a look.
type Way struct {
	To        string // what is there, for people
	Base      *url.URL
	Header    http.Header // who calls; nothing of the caller's but what asks names
	Transport http.RoundTripper
}

// What of a request's and of an answer's header goes through. Authorization and
// cookies are the caller's affair with one door, and Flink allows every origin to
// read its answers: that must not reach a browser.
var (
	asks = []string{"Accept", "If-Modified-Since"}
	says = []string{"Allow", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Last-Modified", "Retry-After"}
)

// Forward sends a read on and copies the answer. Its error is for the caller to
// answer with: nothing was written then. An answer that grows over its limit, or
// takes too long, is broken off.
func (w Way) Forward(rw http.ResponseWriter, r *http.Request, read Read) (failed error) {
	ctx, cancel := context.WithTimeout(r.Context(), maxTime)
	defer cancel()
	proxy := &httputil.ReverseProxy{
		Transport:      w.Transport,
		Rewrite:        func(p *httputil.ProxyRequest) { w.rewrite(p.Out, read) },
		ModifyResponse: w.judge,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { failed = w.lost(err) },
		ErrorLog:       log.New(io.Discard, "", 0), // what breaks off, the caller's line tells
	}
	proxy.ServeHTTP(rw, r.WithContext(ctx))
	return failed
}

// rewrite leaves nothing of the request but the read.
func (w Way) rewrite(out *http.Request, read Read) {
	header := w.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	keep(header, out.Header, asks)
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{"sluice-look"} // else net/http names itself
	}
	target := *w.Base
	target.Path, target.RawPath, target.RawQuery = target.Path+read.Path, "", read.Query
	out.URL, out.Host, out.Header = &target, "", header
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
}

// judge refuses what is no answer to a read, and bounds the rest.
func (w Way) judge(response *http.Response) error {
	switch code := response.StatusCode; {
	case code < http.StatusOK, code >= http.StatusMultipleChoices && code < http.StatusBadRequest && code != http.StatusNotModified:
		return failure.New(failure.Unavailable, "%s answered %d: a look follows nobody elsewhere", w.To, code)
	case response.ContentLength > maxAnswer:
		return tooLarge(w.To)
	}
	header := http.Header{}
	keep(header, response.Header, says)
	response.Header, response.Trailer = header, nil
	response.Body = &bounded{ReadCloser: response.Body, left: maxAnswer, of: w.To}
	return nil
}

func keep(to, from http.Header, names []string) {
	for _, name := range names {
		if values := from[name]; len(values) > 0 {
			to[name] = slices.Clone(values)
		}
	}
}

// lost is what a person is told when no answer came.
func (w Way) lost(err error) error {
	var known *failure.Error
	if errors.As(err, &known) {
		return known
	}
	return failure.Wrap(failure.Unavailable, err, "%s does not answer", w.To)
}

func tooLarge(of string) *failure.Error {
	return failure.New(failure.TooLarge, "what %s answers is over the limit of %d bytes", of, maxAnswer).WithNext("ask for less of it: one vertex, one checkpoint, fewer metrics")
}

// bounded is a body that fails behind its limit: cut off in silence it would
// look whole.
type bounded struct {
	io.ReadCloser
	left int64
	of   string
}

// Read reads.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge(b.of)
	}
	return n, err
}

// Refuse answers with a problem.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	Allow(w.Header(), err)
	_ = problem.Write(w, failure.Of(err), r.URL.Path)
}

// Allow names the methods to whoever came with another one (RFC 9110, 15.5.6).
func Allow(header http.Header, err error) {
	if failure.CodeOf(err) == failure.NoMethod {
		header.Set("Allow", Methods)
	}
}
