// Command sluice-agent is the client role of a generation; see package agent.
// sluice-agent fetch sha256:… brings dependencies into a pod of Flink's.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"sluice/agent"
	"sluice/internal/agentapi"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if len(os.Args) > 1 && os.Args[1] == agentapi.FetchCommand {
		os.Exit(agent.FetchAssigned(log, os.Stderr, os.Args[2:]))
	}
	if err := run(log); err != nil {
		log.Error("agent ends", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	config, err := agent.Load(log)
	if err != nil {
		return err
	}
	a, err := agent.New(config)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	return a.Run(ctx)
}
