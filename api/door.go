package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Limits of a request. Uploads have their own: see artifacts.go.
const (
	maxBody      = 1 << 20
	bodyTimeout  = 30 * time.Second
	writeTimeout = maxWait + 30*time.Second
)

// uploadOperation is the one whose body is a stream.
const uploadOperation = "putArtifact"

type principalKey struct{}

func withPrincipal(ctx context.Context, p principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// caller is who sent the request; the door has let them in.
func caller(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
}

// doors makes one door for each operation of the OpenAPI document: who are you,
// may you, is the request well-formed; in that order, so that a stranger learns
// nothing. An operation without x-sluice-role stays shut.
func (a *API) doors(document *openapi3.T) (map[string][]echo.MiddlewareFunc, error) {
	doors := map[string][]echo.MiddlewareFunc{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			name, _ := operation.Extensions["x-sluice-role"].(string)
			needed, known := roles[name]
			if !known {
				return nil, failure.New(failure.Internal, "%s %s has no x-sluice-role", method, path)
			}
			doors[operation.OperationID] = []echo.MiddlewareFunc{a.door(needed, newSchema(document, path, item, method, operation))}
		}
	}
	return doors, nil
}

func (a *API) door(needed role, check schema) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set(operationKey, check.operation.OperationID)
			if needed != nobody {
				p, err := a.admit(c, needed)
				if err != nil {
					return err
				}
				c.SetRequest(c.Request().WithContext(withPrincipal(c.Request().Context(), p)))
			}
			if check.operation.OperationID != uploadOperation {
				a.limit(c)
			} else if err := upload(c); err != nil {
				return err
			}
			if err := check.request(c); err != nil {
				return err
			}
			if err := checkNames(c); err != nil {
				return err
			}
			if err := checkKey(c.Request().Header); err != nil {
				return err
			}
			if check.operation.OperationID != uploadOperation {
				readFreely(c)
			}
			return next(c)
		}
	}
}

// admit authenticates and authorizes. Forbidden is said before anything is
// looked up, in the same words for what exists and what doesn't.
func (a *API) admit(c echo.Context, needed role) (principal, error) {
	scheme, token, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return principal{}, failure.New(failure.Unauthorized, "the request has no bearer token").
			WithNext("send Authorization: Bearer <token>; the cli takes it from SLUICE_TOKEN or --token-file")
	}
	p, known := a.tokens.find(strings.TrimSpace(token))
	if !known {
		return principal{}, failure.New(failure.Unauthorized, "this token is not known here").
			WithNext("ask whoever runs this server for a token; tokens of other servers don't work")
	}
	c.Set(subjectKey, p.Subject)
	tenant := c.Param("tenant")
	if !p.of(tenant) {
		return p, failure.New(failure.Forbidden, "this token does not reach that tenant").
			WithNext("use a token of the tenant, or check the tenant's name")
	}
	if p.Role < needed {
		return p, failure.New(failure.Forbidden, "this needs the role %s; the token's is %s", needed, p.Role).
			WithNext("ask someone with the role %s", needed)
	}
	if job.CheckName(tenant) != "" || !a.tenants[tenant] {
		return p, failure.New(failure.NotFound, "there is no such tenant on this server").WithNext("check the tenant's name; tenants are in the server's configuration")
	}
	return p, nil
}

// limit bounds a small request in bytes and time.
func (a *API) limit(c echo.Context) {
	request := c.Request()
	request.Body = http.MaxBytesReader(c.Response(), request.Body, maxBody)
	deadlines(c, a.bodyTimeout, writeTimeout)
}

// deadlines sets the connection's; a recorder in a test has none.
func deadlines(c echo.Context, read, write time.Duration) {
	control := http.NewResponseController(c.Response())
	_ = control.SetReadDeadline(time.Now().Add(read))
	_ = control.SetWriteDeadline(time.Now().Add(write))
}

// readFreely takes the read deadline away once the body is read: net/http goes on
// reading to notice a client that hangs up, and a deadline that passes meanwhile
// would end the request's context, for example that of a long poll.
func readFreely(c echo.Context) {
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
}
