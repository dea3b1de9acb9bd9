// Package hostile is what the api must refuse: a table of requests, each with the
// answer that it must get, and a generator that makes requests of the OpenAPI
// document. Both are sent to an api in the test's own process whose record store is
// away and, by the scenarios, to the real one; rows that are Deep only there. A
// refusal says what is wrong, where, and what to do; it writes nothing anywhere.
package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// Caller is who sends a request.
type Caller string

// The callers. Operator and Viewer are of the tenant, Admin of all.
const (
	Operator Caller = ""
	Viewer   Caller = "viewer"
	Admin    Caller = "admin"
	Stranger Caller = "stranger" // sends no token
)

// Request is one row of the table. {tenant}, {job}, {operation}, {artifact} and {key}
// in address, header and body are filled in by whoever sends it.
type Request struct {
	Name    string
	As      Caller
	Method  string
	Path    string // the address as it stands in the request line
	Header  []string
	Body    string
	Length  string // the Content-Length that is declared; "": the body's
	Endless bool   // the body goes on for ever, in chunks
	CutOff  bool   // the sender hangs up behind the body

	Code  failure.Code // of the problem that must come
	Field string       // that it names
	Says  string       // in its text
	// Plain: net/http answers itself, before any code of ours, with this status.
	Plain int
	// Deep: it takes the record store to refuse this.
	Deep bool
}

// Secret is in requests that carry one: no answer may repeat it.
const Secret = "hunter2hunter2"

// Answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Server is an api under test.
type Server struct {
	URL    string
	Tokens map[Caller]string
	Fill   *strings.Replacer
}

// patience bounds one request; a server that waits for the rest of a body that
// never comes would take longer.
const patience = 40 * time.Second

// Send sends a request and reads its answer. A server that refuses what it hasn't
// read yet resets the connection behind its answer, which may be lost by that: then
// the request is sent again.
func (s Server) Send(ctx context.Context, r Request) (answer Answer, err error) {
	for range 5 {
		answer, err = s.send(ctx, r)
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			break
		}
	}
	return answer, err
}

// send writes the request byte by byte as it stands: an HTTP client would clean its
// address and its headers.
func (s Server) send(ctx context.Context, r Request) (Answer, error) {
	target, err := url.Parse(s.URL)
	if err != nil {
		return Answer{}, err
	}
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), "80")
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(patience))
	body := s.Fill.Replace(r.Body)
	if _, err := io.WriteString(connection, s.head(r, target.Host, len(body))); err != nil {
		return Answer{}, err
	}
	go func() { // the server may answer before it has read all
		if _, err := io.WriteString(connection, body); err == nil && r.CutOff {
			_ = connection.(*net.TCPConn).CloseWrite()
		}
		for chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat(" ", 64<<10)); r.Endless && err == nil; {
			_, err = io.WriteString(connection, chunk)
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: r.Method})
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, text}, err
}

func (s Server) head(r Request, host string, length int) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.Method, s.Fill.Replace(r.Path), host)
	given := map[string]bool{}
	for i := 0; i+1 < len(r.Header); i += 2 {
		given[r.Header[i]] = true
		fmt.Fprintf(&head, "%s: %s\r\n", r.Header[i], s.Fill.Replace(r.Header[i+1]))
	}
	if token := s.Tokens[r.As]; token != "" && !given["Authorization"] {
		fmt.Fprintf(&head, "Authorization: Bearer %s\r\n", token)
	}
	if r.Body != "" && !given["Content-Type"] {
		head.WriteString("Content-Type: application/json\r\n")
	}
	switch {
	case r.Endless:
		head.WriteString("Transfer-Encoding: chunked\r\n")
	case r.Length != "":
		fmt.Fprintf(&head, "Content-Length: %s\r\n", r.Length)
	case length > 0 || r.Method != http.MethodGet:
		fmt.Fprintf(&head, "Content-Length: %d\r\n", length)
	}
	return head.String() + "\r\n"
}

// Judge says what is wrong with the answer to a request of the table.
func Judge(r Request, a Answer) error {
	if r.Plain != 0 {
		if a.Status != r.Plain {
			return fmt.Errorf("status %d, not %d: %s", a.Status, r.Plain, a.Body)
		}
		return nil
	}
	if a.Status != problem.KindOf(r.Code).Status {
		return fmt.Errorf("status %d, not %d (%s): %s", a.Status, problem.KindOf(r.Code).Status, r.Code, a.Body)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	p, err := JudgeProblem(a)
	switch {
	case err != nil:
		return err
	case p.Type != problem.TypePrefix+string(r.Code):
		return fmt.Errorf("a problem of type %s, not %s: %s", p.Type, r.Code, a.Body)
	case r.Says != "" && !strings.Contains(string(a.Body), r.Says):
		return fmt.Errorf("it doesn't say %q: %s", r.Says, a.Body)
	}
	for _, field := range p.Errors {
		if field.Field == r.Field {
			return nil
		}
	}
	if r.Field != "" {
		return fmt.Errorf("it doesn't name %s: %s", r.Field, a.Body)
	}
	return nil
}

// JudgeProblem says what a refusal lacks, whatever it refuses.
func JudgeProblem(a Answer) (problem.Problem, error) {
	var p problem.Problem
	if media := a.Header.Get("Content-Type"); media != problem.ContentType {
		return p, fmt.Errorf("status %d with content type %q: %s", a.Status, media, a.Body)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		return p, fmt.Errorf("%w: %s", err, a.Body)
	}
	for _, field := range p.Errors {
		if field.Field == "" || field.Reason == "" {
			return p, fmt.Errorf("a field without a name or a reason: %s", a.Body)
		}
	}
	switch {
	case p.Status != a.Status || p.Title == "" || p.Detail == "" || p.Instance == "" || a.Header.Get("X-Request-Id") == "":
		return p, fmt.Errorf("an incomplete problem: %s", a.Body)
	case p.Next == "":
		return p, fmt.Errorf("it doesn't say what to do next: %s", a.Body)
	case strings.Contains(string(a.Body), Secret):
		return p, errors.New("it repeats a secret")
	}
	return p, nil
}
