// Package api is the HTTP door of the platform. It binds, authenticates, checks
// the schema and the fields, and then has three effects of its own: storing an
// artifact, inserting jobs and revisions with request keys, and nothing else
// yet; all that touches a job's cluster starts, queries or updates a workflow.
// It decides nothing about a job and must not talk to Kubernetes or Flink; people's
// read-only look at a job's Flink it hands to the job's agent (look.go).
//
// api/openapi.yaml is its source; api/internal/gen is generated from it.
package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"sluice/api/internal/gen"
	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/internal/telemetry"
	"sluice/internal/telemetry/ontemporal"
	"sluice/internal/version"
)

// Artifacts is the store of artifacts (internal/hdfs).
type Artifacts interface {
	Put(ctx context.Context, tenant string, r io.Reader, options hdfs.PutOptions) (hdfs.Stored, error)
	Sweep(ctx context.Context, age time.Duration) (int, error)
	Stat(ctx context.Context, tenant, digest string) (int64, error)
}

// Parts are what an API works with. Tests put their own in.
type Parts struct {
	Store     *store.Store
	Temporal  Temporal
	Artifacts Artifacts
	Agents    http.RoundTripper    // to the jobs' agents, with the api's key; nil: none
	Telemetry *telemetry.Telemetry // nil: its own
	Log       *slog.Logger
}

// API is the process's library form: New, Run, Close.
type API struct {
	config    config.API
	store     *store.Store
	temporal  Temporal
	artifacts Artifacts
	agents    http.RoundTripper
	log       *slog.Logger

	tenants    map[string]bool
	namespaces map[string]string // of the tenants' jobs
	engines    []job.Engine
	tokens     *tokens
	metrics    *metrics
	uploads    chan struct{}
	plans      chan struct{}
	streams    chan struct{}
	web        *echo.Echo
	ready      atomic.Bool

	bodyTimeout time.Duration // of small requests; tests shorten it
	planTime    time.Duration // likewise
	keepAlive   time.Duration
	streamStall time.Duration

	leaving chan struct{} // closed when the process stops: streams would hold it up

	closers []func()
}

// New connects what the configuration names and assembles an API. Servers that
// are away don't fail it: requests answer "unavailable" until they are back.
func New(c config.API, log *slog.Logger) (*API, error) {
	dsn, err := c.Database.Connection()
	if err != nil {
		return nil, err
	}
	records, err := store.Open(dsn, store.Options{MaxConnections: c.Database.MaxConnections})
	if err != nil {
		return nil, err
	}
	files, err := hdfs.New(hdfs.Config{Addresses: c.HDFS.NameNodes, User: c.HDFS.User, Group: c.HDFS.Group, Connections: 2 * maxUploads})
	if err != nil {
		_ = records.Close()
		return nil, err
	}
	agents, err := agentDoors(c.Agents)
	if err != nil {
		_ = records.Close()
		_ = files.Close()
		return nil, err
	}
	watched, err := newTelemetry(log)
	if err != nil {
		_ = records.Close()
		_ = files.Close()
		return nil, err
	}
	temporal, err := client.NewLazyClient(client.Options{
		HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace, Identity: "sluice-api", Logger: sdklog.NewStructuredLogger(log),
		Interceptors: ontemporal.Interceptors(watched),
	})
	if err != nil {
		_ = records.Close()
		_ = files.Close()
		return nil, failure.Wrap(failure.Invalid, err, "the client for Temporal")
	}
	a, err := Assemble(c, Parts{Store: records, Temporal: temporal, Artifacts: files, Agents: agents, Telemetry: watched, Log: log})
	closers := []func(){temporal.Close, func() { _ = files.Close() }, func() { _ = records.Close() }}
	if err != nil {
		for _, closer := range closers {
			closer()
		}
		return nil, err
	}
	a.closers = closers
	return a, nil
}

// Assemble makes an API of its parts.
func Assemble(c config.API, parts Parts) (*API, error) {
	document, err := loadDocument()
	if err != nil {
		return nil, err
	}
	a := &API{
		config: c, store: parts.Store, temporal: parts.Temporal, artifacts: parts.Artifacts, agents: parts.Agents, log: parts.Log,
		tenants: map[string]bool{}, namespaces: config.Namespaces(c.Tenants), engines: config.Offered(c.Engines), uploads: make(chan struct{}, maxUploads), web: echo.New(), bodyTimeout: bodyTimeout,
		plans: make(chan struct{}, maxPlans), planTime: planTime,
		streams: make(chan struct{}, maxStreams), keepAlive: keepAlive, streamStall: streamStall, leaving: make(chan struct{}),
	}
	for _, tenant := range c.Tenants {
		a.tenants[tenant.Name] = true
	}
	if a.tokens, err = newTokens(c.TokensFile, parts.Log); err != nil {
		return nil, err
	}
	if parts.Telemetry == nil {
		if parts.Telemetry, err = newTelemetry(parts.Log); err != nil {
			return nil, err
		}
	}
	if a.metrics, err = newMetrics(parts.Telemetry); err != nil {
		return nil, err
	}
	doors, err := a.doors(document)
	if err != nil {
		return nil, err
	}
	a.web.HTTPErrorHandler = a.answerError
	a.web.Use(a.observe)
	gen.RegisterHandlersWithOptions(a.web, gen.NewStrictHandler(a, nil), gen.RegisterHandlersOptions{OperationMiddlewares: doors})
	a.lookRoute()
	a.pages()
	return a, nil
}

// Handler is what Run serves.
func (a *API) Handler() http.Handler { return a.web }

func newTelemetry(log *slog.Logger) (*telemetry.Telemetry, error) {
	return telemetry.New("sluice-api", version.Version, log)
}

// flushTime is for the last spans of a process that ends.
const flushTime = 2 * time.Second

// Close frees what New connected.
func (a *API) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	a.metrics.telemetry.Close(ctx)
	for _, closer := range a.closers {
		closer()
	}
}

// Compile-time check that every operation of the document is implemented.
var _ gen.StrictServerInterface = (*API)(nil)

const (
	defaultLimit = 50
	maxWait      = 60 * time.Second
)

func pageSize(limit int) int {
	if limit == 0 {
		return defaultLimit
	}
	return limit
}
