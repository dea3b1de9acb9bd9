// Package failure is the one vocabulary of errors: a code says what kind of
// thing went wrong and so how it is handled; a message says what; Next says
// what to do about it. Edges convert: package ontemporal to and from Temporal's
// errors, package problem to RFC 9457 problems on HTTP.
// It must not import Temporal or HTTP: the agent uses it and stays small.
package failure

import (
	"errors"
	"fmt"
)

// Code is the kind of a failure; also the problem type's last path segment.
type Code string

// The codes. Only Unavailable is retried as it is.
const (
	Invalid      Code = "invalid"            // the request is wrong; Fields says where
	Unauthorized Code = "unauthorized"       // no or an unknown token
	Forbidden    Code = "forbidden"          // known, but not allowed
	NotFound     Code = "not-found"          // proven absent
	NoMethod     Code = "method-not-allowed" // the address is right, the HTTP method is not
	Conflict     Code = "conflict"           // exists already, with other content
	Busy         Code = "busy"               // another operation holds the job
	Refused      Code = "refused"            // a safety rule says no (stale epoch, no snapshot, not the holder)
	Incompatible Code = "incompatible"       // the jar, its main or its state doesn't fit
	Unknown      Code = "unknown"            // the outcome of an effect is not known: look, don't repeat blindly
	Unproven     Code = "unproven"           // an end that must be proven is not (yet)
	Outdated     Code = "outdated"           // worker and agent are of releases too far apart
	JobFailed    Code = "job-failed"         // Flink says that the job failed
	Unavailable  Code = "unavailable"        // a server is away or slow; retried
	TooLarge     Code = "too-large"          // over a stated limit
	Digest       Code = "digest"             // content does not match its digest
	Canceled     Code = "canceled"           // by a person, before the point of no return
	Internal     Code = "internal"           // a bug of ours
)

// NoRoom is the detail of a refusal that says for which pods there is no room.
const NoRoom = "noRoom"

// Field is one wrong field of a request.
type Field struct {
	Name   string `json:"name"` // JSON pointer or parameter name
	Reason string `json:"reason"`
	Next   string `json:"next,omitempty"`
}

// Error is a failure. It never holds a secret, a token or SQL text.
type Error struct {
	Code    Code              `json:"code"`
	Message string            `json:"message"`
	Next    string            `json:"next,omitempty"` // what a person can do
	Fields  []Field           `json:"fields,omitempty"`
	Details map[string]string `json:"details,omitempty"`
	cause   error
}

// Error is the message with its cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Retryable says whether the same call may simply be made again.
func (e *Error) Retryable() bool { return e.Code == Unavailable }

// New makes a failure.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a failure with a cause.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// WithNext adds what to do next.
func (e *Error) WithNext(format string, args ...any) *Error {
	e.Next = fmt.Sprintf(format, args...)
	return e
}

// With adds a detail.
func (e *Error) With(key, value string) *Error {
	if e.Details == nil {
		e.Details = map[string]string{}
	}
	e.Details[key] = value
	return e
}

// WithFields adds fields.
func (e *Error) WithFields(fields ...Field) *Error {
	e.Fields = append(e.Fields, fields...)
	return e
}

// Of finds the failure in err's chain; an error without one is Internal.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return Wrap(Internal, err, "unexpected error")
}

// CodeOf is the code of the failure in err's chain; "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return Of(err).Code
}
