package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/failure/problem"
	"sluice/internal/version"
)

// pages are what isn't in the OpenAPI document: probes and texts, open to all.
func (a *API) pages() {
	a.web.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	a.web.GET("/readyz", a.readyz)
	a.web.GET("/v1/openapi.yaml", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", openAPI) })
	a.web.GET("/problems", func(c echo.Context) error { return c.String(http.StatusOK, problemIndex()) })
	a.web.GET("/problems/:code", problemPage)
}

// readyz says whether this process can serve: its schema is there. A server that
// is away later doesn't make it unready: its "unavailable" tells people more
// than a refused connection.
func (a *API) readyz(c echo.Context) error {
	if !a.ready.Load() {
		return failure.New(failure.Unavailable, "not ready: the record store has not answered yet, or the process is stopping")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	state := "ok"
	if err := a.store.Ping(ctx); err != nil {
		state = "unavailable"
	}
	return c.String(http.StatusOK, "ready\nrecord store: "+state+"\n")
}

func problemIndex() string {
	var text strings.Builder
	for _, kind := range problem.Kinds {
		fmt.Fprintf(&text, "%s%s\t%d\t%s\n", problem.TypePrefix, kind.Code, kind.Status, kind.Title)
	}
	return text.String()
}

func problemPage(c echo.Context) error {
	for _, kind := range problem.Kinds {
		if string(kind.Code) == c.Param("code") {
			return c.String(http.StatusOK, fmt.Sprintf("%s\n\ncode: %s, HTTP status: %d\n\n%s\n", kind.Title, kind.Code, kind.Status, kind.About))
		}
	}
	return failure.New(failure.NotFound, "there is no such problem").WithNext("all are listed at /problems")
}

// GetVersion says what serves.
func (a *API) GetVersion(context.Context, gen.GetVersionRequestObject) (gen.GetVersionResponseObject, error) {
	return gen.GetVersion200JSONResponse{Version: version.Version, Commit: version.Commit, Go: runtime.Version()}, nil
}
