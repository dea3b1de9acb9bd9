package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"sluice/internal/failure"
)

// Run serves until ctx ends, then lets requests in flight finish.
func (a *API) Run(ctx context.Context) error {
	var network net.ListenConfig
	listener, err := network.Listen(ctx, "tcp", a.config.Listen)
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "can't listen")
	}
	servers := []*http.Server{a.server(a.web)}
	stopped := make(chan error, 2)
	go func() { stopped <- servers[0].Serve(listener) }()
	a.log.Info("api listens", "address", listener.Addr().String())

	if a.config.MetricsListen != "" {
		metrics, err := network.Listen(ctx, "tcp", a.config.MetricsListen)
		if err != nil {
			_ = servers[0].Close()
			return failure.Wrap(failure.Unavailable, err, "can't listen for metrics")
		}
		servers = append(servers, a.server(a.metrics.handler()))
		go func() { stopped <- servers[1].Serve(metrics) }()
	}
	go a.migrate(ctx)
	go a.sweep(ctx)

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-stopped:
	}
	a.ready.Store(false)
	close(a.leaving)
	a.shutdown(context.WithoutCancel(ctx), servers)
	if failed != nil && !errors.Is(failed, http.ErrServerClosed) {
		return failure.Wrap(failure.Unavailable, failed, "the server stopped")
	}
	return nil
}

// server sets no ReadTimeout and WriteTimeout: uploads and long polls take their
// time; each request sets its own deadlines at the door.
func (a *API) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}

func (a *API) shutdown(ctx context.Context, servers []*http.Server) {
	ctx, cancel := context.WithTimeout(ctx, a.config.ShutdownGrace)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	}
}

// Uploads that a killed api left unfinished are removed after a day.
const (
	sweepEvery = 24 * time.Hour
	staleAfter = 24 * time.Hour
)

func (a *API) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		removed, err := a.artifacts.Sweep(ctx, staleAfter)
		if err != nil || removed > 0 {
			a.log.Info("unfinished uploads swept", "removed", removed, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// migrate brings the schema up; the process is ready after that. The database
// may come later than we do.
func (a *API) migrate(ctx context.Context) {
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 15*time.Second) {
		err := a.store.Migrate(ctx)
		if err == nil {
			a.ready.Store(true)
			a.log.Info("api is ready")
			return
		}
		a.log.Warn("the record store is not ready", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
