package api

import (
	_ "embed"
	"errors"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"sluice/internal/failure"
)

// openAPI is the API's source, as it is served.
//
//go:embed openapi.yaml
var openAPI []byte

func loadDocument() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "api/openapi.yaml")
	}
	return document, nil
}

// schema checks requests of one operation against the OpenAPI document. The
// route is the one that echo chose: a second router could choose another.
type schema struct {
	document  *openapi3.T
	path      string
	item      *openapi3.PathItem
	method    string
	operation *openapi3.Operation
}

// newSchema takes a copy of the operation without its security: the door has
// asked already, and the library would read the whole body before it asked.
func newSchema(document *openapi3.T, path string, item *openapi3.PathItem, method string, operation *openapi3.Operation) schema {
	open := *operation
	open.Security = openapi3.NewSecurityRequirements()
	return schema{document, path, item, method, &open}
}

func (s schema) request(c echo.Context) error {
	parameters := map[string]string{}
	for i, name := range c.ParamNames() {
		parameters[name] = c.ParamValues()[i]
	}
	return invalid(openapi3filter.ValidateRequest(c.Request().Context(), &openapi3filter.RequestValidationInput{
		Request: c.Request(), PathParams: parameters, QueryParams: c.QueryParams(),
		Route: &routers.Route{Spec: s.document, Path: s.path, PathItem: s.item, Method: s.method, Operation: s.operation},
		Options: &openapi3filter.Options{
			MultiError: true, KeepValidatedValue: true, SkipSettingDefaults: true,
			ExcludeRequestBody: s.operation.OperationID == uploadOperation,
		},
	}))
}

// invalid lists every wrong field of a request.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return failure.New(failure.TooLarge, "the body is over the limit of %d bytes", tooLarge.Limit)
	}
	return malformed(wrongFields(err, "")...)
}

func malformed(wrong ...failure.Field) *failure.Error {
	return failure.New(failure.Invalid, "the request does not have the form that the API describes").
		WithFields(wrong...).WithNext("correct the fields listed; the form is in /v1/openapi.yaml")
}

// wrongFields walks the error's tree. Types are switched on, not searched for:
// a MultiError answers errors.As with its first entry and hides the others.
func wrongFields(err error, at string) []failure.Field {
	switch e := err.(type) { //nolint:errorlint // see above
	case openapi3.MultiError:
		var found []failure.Field
		for _, one := range e {
			found = append(found, wrongFields(one, at)...)
		}
		return found
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			at = e.Parameter.Name
		}
		switch {
		case e.Err != nil:
			return wrongFields(e.Err, at)
		case e.Parameter == nil: // the library refuses a body without an error for its type only
			return []failure.Field{{Name: echo.HeaderContentType, Reason: e.Reason, Next: "send application/json"}}
		}
		return []failure.Field{{Name: at, Reason: e.Reason}}
	case *failure.Error: // strictJSON's
		return e.Fields
	case *openapi3.SchemaError:
		if pointer := e.JSONPointer(); len(pointer) > 0 {
			at += "/" + strings.Join(pointer, "/")
		}
		return []failure.Field{{Name: inBody(at), Reason: e.Reason}}
	}
	return []failure.Field{{Name: inBody(at), Reason: short(err.Error())}}
}

// inBody names the field at a JSON pointer; nobody would find the whole body,
// the empty pointer, in a list of fields.
func inBody(pointer string) string {
	if pointer == "" || pointer == "/" {
		return "body"
	}
	return pointer
}

// short keeps a parser's message short and on one line.
func short(message string) string {
	text := strings.Join(strings.Fields(message), " ")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}
