// Package problem converts failures to and from RFC 9457 problems, the body of
// every error on HTTP. It must not know what failed: that is the failure's.
package problem

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"sluice/internal/failure"
)

// ContentType of a problem (RFC 9457).
const ContentType = "application/problem+json"

// TypePrefix is where problem types live; the last segment is the code.
const TypePrefix = "/problems/"

// Problem is the body of an error.
type Problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail,omitempty"`
	Instance string            `json:"instance,omitempty"` // the request's path
	Next     string            `json:"next,omitempty"`     // what to do about it
	Errors   []Field           `json:"errors,omitempty"`
	Details  map[string]string `json:"details,omitempty"`
}

// Field is one wrong field of a request.
type Field struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Next   string `json:"next,omitempty"`
}

// Kind describes a code to people and to HTTP.
type Kind struct {
	Code   failure.Code
	Status int
	Title  string
	About  string // the text of its page
	Next   string // what to do where the failure itself doesn't say
}

// Kinds are all codes; the order is that of the index page.
var Kinds = []Kind{
	{failure.Invalid, http.StatusUnprocessableEntity, "The request is not valid", "Something in the request is wrong. errors lists every field with the reason and what to do. The same request will fail again.", "correct the fields listed and send it again; the same request will be refused again"},
	{failure.Unauthorized, http.StatusUnauthorized, "Who are you?", "The request has no bearer token, or one that this server does not know. Send Authorization: Bearer <token>.", "send Authorization: Bearer <token>"},
	{failure.Forbidden, http.StatusForbidden, "Not allowed", "The token is known but may not do this: another tenant's thing, or a role that is too small (viewer reads, operator also changes and runs, admin also decides on profiles and on operations that leave state behind). Whether the thing exists is not said.", "ask somebody whose role allows it, or use a token of the tenant"},
	{failure.NotFound, http.StatusNotFound, "There is no such thing", "The tenant, job, revision, operation, profile or artifact does not exist.", "check the name; the lists have those that there are"},
	{failure.NoMethod, http.StatusMethodNotAllowed, "The address does not take this method", "The address exists, but not with this HTTP method. The header Allow lists those that it takes.", "use a method that the header Allow lists"},
	{failure.Conflict, http.StatusConflict, "It exists with other content", "Something immutable exists already and differs from what was sent.", "use another name for other content, or send what is there already"},
	{failure.Busy, http.StatusConflict, "Another operation holds the job", "A job takes one operation at a time. details.operation is the one that runs: wait for it, or cancel it, then send the request again.", "wait for the operation in details, or cancel it, then send the request again"},
	{failure.Refused, http.StatusConflict, "A safety rule says no", "The request is well-formed, but doing it now could lose state or start a second copy. detail says which rule, next what would help.", "look at the job and its newest operation before you ask for something else"},
	{failure.Incompatible, http.StatusUnprocessableEntity, "It does not fit", "The jar, its main method or the job's state does not fit what was asked.", "correct the revision, apply it and ask again; what runs was not touched"},
	{failure.Unknown, http.StatusBadGateway, "The outcome is not known", "A call may or may not have worked. Look before repeating it; a repeat with the same Idempotency-Key is safe.", "look before repeating it; a repeat with the same Idempotency-Key is safe"},
	{failure.Unproven, http.StatusConflict, "An end is not proven yet", "Something that must be proven to have ended is not. The operation says what proof it waits for.", "watch the operation: it says what proof it waits for"},
	{failure.Outdated, http.StatusConflict, "The agent is too old for this", "A job keeps the agent of the release that it was started with. This one is older than the platform still speaks with, or doesn't know what was asked. Its Deployment can be replaced alone; the job runs on.", "replace the agent alone: docs/compatibility.md"},
	{failure.JobFailed, http.StatusConflict, "The job failed", "The engine says that the job failed. detail has its cause.", "look at detail and at the logs of the job, mend the cause and ask again"},
	{failure.Unavailable, http.StatusServiceUnavailable, "Something we need is away", "The record store, Temporal, HDFS or another server does not answer. Nothing was decided from that. Try again; with an Idempotency-Key that is safe.", "try again in a moment; with an Idempotency-Key that is safe"},
	{failure.TooLarge, http.StatusRequestEntityTooLarge, "Too large", "The request is over a stated limit.", "send less: the limit is in detail"},
	{failure.Digest, http.StatusUnprocessableEntity, "The content does not match its digest", "What arrived has another SHA-256 than announced: it was cut off or changed on the way, or the digest is another file's. Nothing was kept.", "send it again, or correct the digest"},
	{failure.Canceled, http.StatusConflict, "Canceled", "It was canceled by a person or by the end of the request.", "ask again if it is still wanted"},
	{failure.Internal, http.StatusInternalServerError, "A bug of ours", "This should not happen. The server's log has the details under the request's id.", "report it with the X-Request-Id of this answer; the log has the details"},
}

// KindOf describes a code; an unknown one is an Internal.
func KindOf(code failure.Code) Kind {
	for _, kind := range Kinds {
		if kind.Code == code {
			return kind
		}
	}
	return Kinds[len(Kinds)-1]
}

// Of makes the problem of a failure.
func Of(f *failure.Error, instance string) Problem {
	kind := KindOf(f.Code)
	p := Problem{
		Type: TypePrefix + string(kind.Code), Title: kind.Title, Status: kind.Status,
		Detail: f.Message, Instance: instance, Next: f.Next, Details: f.Details,
	}
	if kind.Code == failure.Internal {
		p.Detail = "" // it may hold anything; the log has it
	}
	if p.Next == "" {
		p.Next = kind.Next
	}
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, Field{Field: field.Name, Reason: field.Reason, Next: field.Next})
	}
	return p
}

// Write answers with the problem of a failure.
func Write(w http.ResponseWriter, f *failure.Error, instance string) error {
	p := Of(f, instance)
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}

// Failure is the problem as a failure again.
func (p Problem) Failure() *failure.Error {
	code := failure.Code(strings.TrimPrefix(p.Type, TypePrefix))
	f := failure.New(KindOf(code).Code, "%s", p.Detail)
	if p.Detail == "" {
		f.Message = p.Title
	}
	f.Next, f.Details = p.Next, p.Details
	for _, field := range p.Errors {
		f.Fields = append(f.Fields, failure.Field{Name: field.Field, Reason: field.Reason, Next: field.Next})
	}
	return f
}

// maxProblem bounds what is read of somebody's error.
const maxProblem = 1 << 20

// Parse makes a failure of an error response, whoever sent it.
func Parse(response *http.Response) *failure.Error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	return FromBody(response.StatusCode, response.Header.Get("Content-Type"), body, err)
}

// FromBody is Parse for a body that was read already.
func FromBody(status int, contentType string, body []byte, readErr error) *failure.Error {
	media, _, _ := mime.ParseMediaType(contentType)
	var p Problem
	if readErr == nil && media == ContentType && json.Unmarshal(body, &p) == nil && p.Type != "" {
		return p.Failure()
	}
	// A proxy's page or a cut answer: only the status speaks.
	code := failure.Internal
	switch status {
	case http.StatusUnauthorized:
		code = failure.Unauthorized
	case http.StatusForbidden:
		code = failure.Forbidden
	case http.StatusNotFound:
		code = failure.NotFound
	case http.StatusRequestEntityTooLarge:
		code = failure.TooLarge
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		code = failure.Unavailable
	}
	return failure.New(code, "the server answered %d %s without a problem document", status, http.StatusText(status)).
		WithNext("is the address the Sluice api's?")
}
