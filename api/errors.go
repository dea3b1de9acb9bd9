package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"sluice/internal/failure"
	"sluice/internal/failure/problem"
)

// Keys of what a request's log line needs.
const (
	operationKey = "sluice.operation"
	subjectKey   = "sluice.subject"
)

// answerError is the one place where an error becomes an answer.
func (a *API) answerError(err error, c echo.Context) {
	f := asFailure(err)
	switch f.Code {
	case failure.Internal:
		a.log.ErrorContext(c.Request().Context(), "internal error", "error", err, "request", requestID(c), "route", c.Path())
	case failure.Unavailable:
		a.log.WarnContext(c.Request().Context(), "unavailable", "error", err, "request", requestID(c), "route", c.Path())
	default: // the caller's doing: the request's line is enough
	}
	if c.Response().Committed {
		return // too late; the log has it
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(problem.KindOf(f.Code).Status)
		return
	}
	_ = problem.Write(c.Response(), f, c.Request().URL.Path)
}

func asFailure(err error) *failure.Error {
	var known *failure.Error
	var web *echo.HTTPError
	switch {
	case errors.As(err, &known):
		return known
	case !errors.As(err, &web):
		return failure.Of(err)
	}
	switch web.Code {
	case http.StatusNotFound:
		return failure.New(failure.NotFound, "there is nothing at this address").WithNext("the API is described by /v1/openapi.yaml")
	case http.StatusMethodNotAllowed:
		return failure.New(failure.NoMethod, "this address does not take that method").
			WithNext("the header Allow lists those that it takes; the API is described by /v1/openapi.yaml")
	case http.StatusRequestEntityTooLarge:
		return failure.New(failure.TooLarge, "the body is over the limit of %d bytes", maxBody)
	}
	if web.Code < http.StatusInternalServerError {
		return unbound(web)
	}
	return failure.Wrap(failure.Internal, err, "unexpected error")
}

// badParameter is how the generated code words a parameter that it can't bind;
// it has no type of error for that.
var badParameter = regexp.MustCompile(`^(?:Invalid format for parameter|Expected one value for) ([\w-]+)(?:: |, )(.+)$`)

// unbound names the field that passed the schema and yet doesn't fit its Go type,
// for example a number of 20 digits or a header that is there twice.
func unbound(web *echo.HTTPError) *failure.Error {
	message := fmt.Sprint(web.Message)
	var value *json.UnmarshalTypeError
	if errors.As(web, &value) {
		return malformed(failure.Field{
			Name: inBody("/" + strings.ReplaceAll(value.Field, ".", "/")), Reason: fmt.Sprintf("%s can't be read as %s", value.Value, value.Type),
			Next: "write a number as an integer of at most 64 bits, in plain digits",
		})
	}
	if found := badParameter.FindStringSubmatch(message); found != nil {
		return malformed(failure.Field{Name: found[1], Reason: short(found[2]), Next: "send it once, in the form that the API describes"})
	}
	return failure.New(failure.Invalid, "%s", short(message))
}

var goodRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(c echo.Context) string {
	return c.Response().Header().Get(echo.HeaderXRequestID)
}

// observe names the request, catches panics, answers errors, logs and measures.
// It logs the route, never the address: queries and names in paths are the
// caller's text.
func (a *API) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !goodRequestID.MatchString(id) {
			id = ulid.Make().String()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.Response().Header().Set("X-Content-Type-Options", "nosniff")
		span := startSpan(c)
		if err := a.guarded(next, c); err != nil {
			a.answerError(err, c)
		}
		endSpan(c, span)
		a.report(c, time.Since(began))
		return nil
	}
}

func (a *API) guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			if thrown == http.ErrAbortHandler { //nolint:errorlint // net/http's sentinel
				panic(thrown)
			}
			a.log.Error("panic", "panic", thrown, "request", requestID(c), "route", c.Path(), "stack", string(debug.Stack()))
			err = failure.New(failure.Internal, "panic")
		}
	}()
	return next(c)
}

func (a *API) report(c echo.Context, took time.Duration) {
	operation, _ := c.Get(operationKey).(string)
	subject, _ := c.Get(subjectKey).(string)
	status := c.Response().Status
	if operation == "" {
		a.metrics.count("other", status, took)
		return // probes, pages: no line each
	}
	a.metrics.count(operation, status, took)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	a.log.Log(c.Request().Context(), level, "request",
		"operation", operation, "status", status, "ms", took.Milliseconds(), "subject", subject,
		"tenant", c.Param("tenant"), "request", requestID(c), "bytesIn", c.Request().ContentLength, "bytesOut", c.Response().Size)
}
