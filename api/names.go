package api

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// pathForms say what is wrong with a path's parameter; "" for nothing. The
// tenant's was compared with the tenants that there are.
var pathForms = map[string]struct {
	wrong func(string) string
	next  string
}{
	"job":       {job.CheckName, "list the jobs: sluice get jobs"},
	"profile":   {job.CheckName, "list the profiles: sluice get profiles"},
	"operation": {checkOperationID, "list the operations: sluice get operations"},
	"digest":    {checkDigest, "use the digest that sluice artifact push printed"},
}

// checkNames refuses what can name nothing before anything is asked for it: no
// store and no file system sees such a text. What is to be made is checked with its
// body, so that all that is wrong is listed at once.
func checkNames(c echo.Context) error {
	if c.Request().Method == http.MethodPut {
		return nil
	}
	for _, parameter := range c.ParamNames() {
		form, known := pathForms[parameter]
		if !known {
			continue
		}
		value, err := url.PathUnescape(c.Param(parameter)) // as the handlers get it
		reason := "is not escaped as an address is"
		if err == nil {
			reason = form.wrong(value)
		}
		if reason != "" {
			return failure.New(failure.Invalid, "the address names nothing that could exist").
				WithFields(failure.Field{Name: parameter, Reason: reason, Next: form.next}).WithNext("correct the address")
		}
	}
	return nil
}

// keyHeader names a request, so that a repeat is known as one.
const keyHeader = "Idempotency-Key"

// checkKey refuses an empty key: whoever sends one means to be safe and isn't. The
// generated code can't tell it from a header that is missing.
func checkKey(header http.Header) error {
	if values, given := header[keyHeader]; given && len(values) == 1 && values[0] == "" {
		return badKey()
	}
	return nil
}

func badKey() error {
	return failure.New(failure.Invalid, "the Idempotency-Key can't be used").
		WithFields(failure.Field{Name: keyHeader, Reason: "is not 1 to 200 printable ASCII characters without blanks", Next: "a UUID is a good key"})
}

func checkOperationID(id string) string {
	if parsed, err := ulid.ParseStrict(id); err != nil || parsed.String() != id {
		return "is not the id of an operation (a ULID: 26 digits and capital letters)"
	}
	return ""
}

func checkDigest(digest string) string {
	if _, err := job.ParseDigest(digest); err != nil {
		return err.Error()
	}
	return ""
}
