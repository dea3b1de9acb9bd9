// sluice-api serves the HTTP API.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"sluice/api"
	"sluice/internal/config"
	"sluice/internal/version"
)

func main() {
	file := flag.String("config", "", "configuration file (YAML); SLUICE_* variables override it")
	flag.Parse()
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err := run(ctx, *file); err != nil {
		slog.Error("sluice-api ends", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	c, err := config.LoadAPI(file)
	if err != nil {
		return err
	}
	handler := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.Level()})
	a, err := api.New(c, slog.New(handler).With("version", version.Version)) //nolint:contextcheck // each request has its own context
	if err != nil {
		return err
	}
	defer a.Close() //nolint:contextcheck // it comes after the context's end
	return a.Run(ctx)
}
