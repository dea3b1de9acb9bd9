//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/job"
)

func (a *app) opCommand() *cobra.Command {
	return group("op", "Run and watch operations",
		a.startCommand(job.Start, "Start a job that does not run"),
		a.startCommand(job.Stop, "Stop a job, keeping a savepoint, or what else is left of it"),
		a.startCommand(job.Upgrade, "Bring a running job to another revision or profile"),
		a.startCommand(job.Rescale, "Bring a running job to another profile, in place where that is possible"),
		a.startCommand(job.Savepoint, "Take a savepoint of a running job"),
		a.startCommand(job.Restart, "Run the revision and profile in force anew, on a new generation, with its state"),
		a.startCommand(job.Rollback, "Bring a running job back to an older revision, with its state"),
		&cobra.Command{
			Use: "watch ID", Short: "Follow an operation to its end", Args: arguments(1, 1),
			RunE: func(c *cobra.Command, args []string) error {
				client, err := a.client()
				if err != nil {
					return err
				}
				return a.watch(c.Context(), client, args[0])
			},
		},
		a.decisionCommand("cancel ID", "Cancel an operation before its point of no return", (*apiclient.Client).CancelOperation),
		a.decideCommand(),
		a.decisionCommand("retry ID", "Tell a waiting operation to try its step again", (*apiclient.Client).RetryOperation),
	)
}

// decideCommand chooses among the ways on of a waiting operation.
func (a *app) decideCommand() *cobra.Command {
	var choice apiclient.Choice
	command := &cobra.Command{
		Use: "decide ID --option NAME", Short: "Choose one of the ways on that a waiting operation offers", Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			answer, err := read[apiclient.Operation](client.DecideOperation(c.Context(), a.tenant, args[0], choice))
			if err != nil {
				return err
			}
			return a.printOperation(answer)
		},
	}
	command.Flags().StringVar(&choice.Option, "option", "", "retry, replay, rollback, give-up or declare-dead, as op watch lists them")
	command.Flags().StringVar(&choice.Reason, "reason", "", "shown to people, at most 200 characters")
	_ = command.MarkFlagRequired("option")
	return command
}

// wish are the flags of an operation.
type wish struct {
	request apiclient.OperationRequest
	key     string
	watch   bool
	soak    int
}

func (a *app) startCommand(kind job.Kind, short string) *cobra.Command {
	w := wish{request: apiclient.OperationRequest{Kind: string(kind)}}
	command := &cobra.Command{Use: string(kind) + " JOB", Short: short, Args: arguments(1, 1), RunE: func(c *cobra.Command, args []string) error {
		name, err := a.jobRef(args[0])
		if err != nil {
			return err
		}
		client, err := a.client()
		if err != nil {
			return err
		}
		if c.Flags().Changed("soak") {
			w.request.SoakSeconds = &w.soak
		}
		return a.start(c.Context(), client, name, w)
	}}
	flags := command.Flags()
	flags.StringVar(&w.request.Reason, "reason", "", "shown to people, at most 200 characters")
	flags.StringVar(&w.request.PlanDigest, "plan-digest", "", "digest of the plan that was seen (sluice plan); with another plan nothing is done")
	flags.StringVar(&w.key, "idempotency-key", "", "names this request: the same key again starts nothing twice")
	flags.BoolVarP(&w.watch, "watch", "w", false, "follow it to its end")
	if kind.Submits() {
		flags.IntVar(&w.soak, "soak", job.DefaultSoakSeconds, "seconds to watch the new submission before the commit")
	}
	if kind.Submits() && kind != job.Restart {
		flags.StringVar(&w.request.Profile, "profile", "", "profile; the one in force when left out, else ordinary")
	}
	if kind.ChoosesRevision() {
		flags.IntVar(&w.request.Revision, "revision", 0, revisionHelp(kind))
		flags.BoolVar(&w.request.AllowStateLoss, "allow-state-loss", false, "state may go for which the new job graph has no operator (role admin)")
	}
	if kind.Replaces() {
		flags.StringVar(&w.request.Strategy, "strategy", "", "warm (default): the new cluster stands before the stop; cold: less resources, more downtime; in-place (default of rescale where possible): only the parallelism of the running job")
		flags.BoolVar(&w.request.AllowCold, "allow-cold", false, "go on cold when the new TaskManagers don't fit beside those that run")
		flags.BoolVar(&w.request.AllowUnchecked, "allow-unchecked", false, "with --allow-cold or --strategy cold: stop the job before anything of the new revision was checked, when not even its JobManager fits beside what runs")
		flags.StringVar(&w.request.Replay, "replay", "", "what a rollback may do when the old revision can't read the new one's snapshots: ask (default), allow or deny to publish again what came after the savepoint")
	}
	if kind == job.Rescale {
		_ = command.MarkFlagRequired("profile")
	}
	if kind.Replaces() && kind != job.Rescale {
		flags.BoolVar(&w.request.WithoutSavepoint, "without-savepoint", false, "go on from the newest checkpoint when no savepoint can be taken (a job that crash-loops)")
	}
	if kind == job.Stop {
		flags.BoolVar(&w.request.WithoutSavepoint, "without-savepoint", false, "when no savepoint can be taken, cancel the job and keep its newest checkpoint (a job that crash-loops)")
		flags.BoolVar(&w.request.Stateless, "stateless", false, "cancel the job, whether or not a snapshot of it is left (role admin)")
	}
	if kind.Submits() {
		flags.StringVar(&w.request.DefaultDecision, "default-decision", "", "taken when nobody decides while the operation waits: retry, replay or give-up")
		flags.IntVar(&w.request.DefaultAfterMinutes, "default-after-minutes", 0, "how long it waits for a person before that")
	}
	if kind == job.Start {
		flags.StringVar(&w.request.Supersede, "supersede", "", "id of the waiting operation whose place this one takes")
		flags.BoolVar(&w.request.Stateless, "stateless", false, "start without a snapshot (role admin)")
		flags.StringVar(&w.request.FromSnapshot, "from-snapshot", "", "start from this snapshot (hdfs://…): an older one of the job's own (sluice get snapshots), or a copy of another (role admin)")
	}
	return command
}

func revisionHelp(kind job.Kind) string {
	if kind == job.Rollback {
		return "revision to go back to; the newest older one that ran when left out"
	}
	return "revision; the newest when left out, or the one in force after a rollback"
}

// startTries repeat a request whose answer was lost; its key makes that safe.
const startTries = 4

func (a *app) start(ctx context.Context, client *apiclient.Client, name string, w wish) error {
	if w.key == "" {
		w.key = "cli-" + ulid.Make().String()
	}
	var accepted apiclient.Accepted
	var err error
	for try := range startTries {
		if try > 0 {
			_, _ = fmt.Fprintln(a.err, "no answer; asking again with the same key")
			if err := pause(ctx, time.Duration(try)*time.Second); err != nil {
				return err
			}
		}
		accepted, err = read[apiclient.Accepted](client.StartOperation(ctx, a.tenant, name, &apiclient.StartOperationParams{IdempotencyKey: w.key}, w.request))
		if failure.CodeOf(err) != failure.Unavailable {
			break
		}
	}
	if err != nil {
		return err
	}
	if !w.watch {
		return a.print(accepted, "", [][]string{{"operation", accepted.Operation}, {"follow it", "sluice op watch " + accepted.Operation}, {"in Temporal", orDash(accepted.Links.TemporalUI)}})
	}
	return a.watch(ctx, client, accepted.Operation)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return failure.New(failure.Canceled, "interrupted")
	case <-time.After(d):
		return nil
	}
}
