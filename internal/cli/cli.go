// Package cli is the sluice command: it talks to the api only, and prints what
// it is told. It decides nothing but how to show things.
//
//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"io"
	"os"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/version"
)

// app is what the commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	asks     bool // a person sits there and can be asked

	server    string
	tenant    string
	tokenFile string
	output    string
}

const about = `Runs the life of stream-processing jobs through the Sluice api.

The address of the api is taken from --server or SLUICE_SERVER, the tenant from
--tenant or SLUICE_TENANT, the token from --token-file, SLUICE_TOKEN_FILE or
SLUICE_TOKEN.

Exit codes:
  0  done
  1  the operation failed or was canceled, or the server has a bug
  2  bad usage, or the request is not valid
  3  refused, in conflict or busy
  4  not found, not allowed, or the token is not known
  5  the server, or something that it needs, can't be reached
  6  the operation waits for a decision
sluice diff ends with 1 when something differs, and with 2 or more on an error.`

// Main runs the command and returns the exit code.
func Main(ctx context.Context, args []string, out, errors io.Writer) int {
	a := &app{in: os.Stdin, out: out, err: errors, asks: terminal(os.Stdin) && terminal(errors)}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // commands take the context that ExecuteContext gives them
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	if err := root.ExecuteContext(ctx); err != nil {
		a.printError(err)
		return exitCode(err)
	}
	return exitOK
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "sluice", Short: "Upgrade stream-processing jobs without losing their state", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkOutput(a.output) },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", os.Getenv("SLUICE_SERVER"), "address of the api, http(s)://host:port (SLUICE_SERVER)")
	flags.StringVar(&a.tenant, "tenant", os.Getenv("SLUICE_TENANT"), "tenant (SLUICE_TENANT)")
	flags.StringVar(&a.tokenFile, "token-file", os.Getenv("SLUICE_TOKEN_FILE"), "file that holds the token (SLUICE_TOKEN_FILE; else SLUICE_TOKEN)")
	flags.StringVarP(&a.output, "output", "o", table, "table, json or yaml")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	root.AddCommand(a.artifactCommand(), a.applyCommand(), a.diffCommand(), a.planCommand(), a.getCommand(), a.opCommand(), a.jobCommand(), a.versionCommand())
	a.complete(root)
	return root
}

// arguments checks them in the words of exit code 2. An empty one, often a
// variable of a script that was not set, would be the address of something else.
func arguments(least, most int) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return usage("usage: %s", command.UseLine())
		}
		if slices.Contains(args, "") {
			return usage("an argument is empty; usage: %s", command.UseLine())
		}
		return nil
	}
}

func usage(format string, args ...any) error {
	return failure.New(failure.Invalid, format, args...).WithNext("sluice --help explains the commands")
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("%s has no command %q", c.CommandPath(), args[0])
		}
		return c.Help()
	}}
	command.AddCommand(commands...)
	return command
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this command and of the server", Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			found := versions{Sluice: apiclient.Version{Version: version.Version, Commit: version.Commit, Go: runtime.Version()}}
			rows := [][]string{{"sluice " + version.Version + " " + version.Commit}}
			var failed error
			if a.server != "" {
				found.Server, failed = a.serverVersion(c.Context())
			}
			if found.Server != nil {
				rows = append(rows, []string{"server " + found.Server.Version + " " + found.Server.Commit})
			}
			// Our own version helps also when the server can't be asked.
			if err := a.print(found, "", rows); err != nil {
				return err
			}
			return failed
		},
	}
}

// versions are this command's and, when one is named and answers, the server's.
type versions struct {
	Sluice apiclient.Version  `json:"sluice"`
	Server *apiclient.Version `json:"server,omitempty"`
}

func (a *app) serverVersion(ctx context.Context) (*apiclient.Version, error) {
	client, err := a.anonymous()
	if err != nil {
		return nil, err
	}
	server, err := read[apiclient.Version](client.GetVersion(ctx))
	if err != nil {
		return nil, err
	}
	return &server, nil
}
