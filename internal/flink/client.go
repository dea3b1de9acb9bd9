// Package flink is a client for the REST interface of one Flink JobManager. Its
// errors tell apart what Flink said (failure.NotFound, Incompatible, Refused,
// and AnswerError with Flink's own words), what can be asked again (Unavailable) and
// an effect whose outcome nobody knows (Unknown). It decides nothing and repeats
// nothing; only the agent uses it.
package flink

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sluice/internal/failure"
)

// NewTransport makes the transport that all clients of a process share; doors
// holds the key to the JobManager, nil for one that speaks plain HTTP.
func NewTransport(doors *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     doors,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
}

// Client talks to one JobManager. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New makes a client for base, e.g. https://orders-g2-jobmanager:8081.
func New(base string, transport http.RoundTripper) *Client {
	return &Client{base: base, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// The deadlines of single calls.
const (
	readTimeout   = 10 * time.Second
	effectTimeout = 60 * time.Second // main runs within POST /run and /plan
	uploadTimeout = 10 * time.Minute
)

// kind of a call decides what a lost answer means.
type kind int

const (
	read   kind = iota // lost: Unavailable
	effect             // lost: Unknown
)

type call struct {
	kind    kind
	method  string
	path    string
	query   url.Values
	body    any
	timeout time.Duration
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, call{kind: read, method: http.MethodGet, path: path, timeout: readTimeout}, into)
}

func (c *Client) do(ctx context.Context, call call, into any) error {
	var body io.Reader
	if call.body != nil {
		data, err := json.Marshal(call.body)
		if err != nil {
			return failure.Wrap(failure.Internal, err, "encode a request to Flink")
		}
		body = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(ctx, call.timeout)
	defer cancel()
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return failure.Wrap(failure.Internal, err, "make a request to Flink")
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.send(request, call.kind, into)
}

// maxAnswer bounds what is read of an answer; a job graph of thousands of
// vertices has a few MiB.
const maxAnswer = 32 << 20

func (c *Client) send(request *http.Request, kind kind, into any) error {
	response, err := c.http.Do(request)
	if err != nil {
		return lost(kind, err, request)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return lost(kind, err, request)
	}
	if response.StatusCode/100 != 2 {
		return judge(kind, answerOf(response.StatusCode, data), request)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return failure.Wrap(failure.Unavailable, err, "Flink's answer to %s %s can't be read", request.Method, request.URL.Path)
	}
	return nil
}

// lost names what a call without an answer means.
func lost(kind kind, err error, request *http.Request) error {
	var network *net.OpError
	if kind == read || errors.As(err, &network) && network.Op == "dial" { // never sent
		return failure.Wrap(failure.Unavailable, err, "the JobManager did not answer %s %s", request.Method, request.URL.Path)
	}
	return failure.Wrap(failure.Unknown, err, "the JobManager's answer to %s %s was lost", request.Method, request.URL.Path)
}
