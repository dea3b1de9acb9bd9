// sluice-worker runs workflow code and one site's activities.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/config"
	"sluice/worker"
)

func main() {
	file := flag.String("config", "/etc/sluice/worker.yaml", "configuration file")
	flag.Parse()
	if err := run(*file); err != nil {
		fmt.Fprintln(os.Stderr, "sluice-worker:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := config.LoadWorker(file)
	if err != nil {
		return err
	}
	w, err := worker.New(ctx, c, slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: c.Level()})))
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Run(ctx)
}
