// Command checker judges what the counter job wrote: see package checker. Directories are hdfs://host:port/path, or
// paths of this machine.
//
// It exits with 0 when all is right, 1 when something is wrong, 2 when it couldn't look, also for wrong arguments.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"time"

	"sluice/testsuite/checker"
)

func main() { os.Exit(exit()) }

func exit() (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "checker:", err)
		return 2
	case !ok:
		return 1
	default:
		return 0
	}
}

func run(ctx context.Context, args []string, out io.Writer) (ok bool, err error) {
	var o checker.Options
	flags := flag.NewFlagSet("checker", flag.ContinueOnError)
	flags.StringVar(&o.Output, "output", "", "directory of the exactly-once output")
	flags.StringVar(&o.Trace, "trace", "", "directory of the trace; without it pauses are not measured")
	flags.Int64Var(&o.Keys, "keys", 100, "the job's --keys")
	flags.Int64Var(&o.MinRecords, "min-records", 1, "least number of records")
	flags.Int64Var(&o.Records, "records", 0, "exact number of records; 0: any")
	flags.BoolVar(&o.AllowUnfinished, "allow-unfinished", false, "accept unfinished output files (a job was killed)")
	flags.BoolVar(&o.AllowUnpublished, "allow-unpublished", false, "accept traced numbers without output (killed last, or running)")
	flags.DurationVar(&o.MaxPause, "max-pause", 0, "longest pause allowed; 0: any")
	flags.DurationVar(&o.MaxOverlap, "max-overlap", 0, "how long two submissions may seem to write at once (clock skew)")
	asJSON := flags.Bool("json", false, "report as JSON")
	user := flags.String("user", "root", "HDFS user")
	timeout := flags.Duration("timeout", 30*time.Second, "longest wait for one answer of HDFS")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if o.Output == "" || flags.NArg() > 0 {
		return false, fmt.Errorf("usage: checker --output DIR [--trace DIR] …")
	}
	files, err := open(&o, *user, *timeout)
	if err != nil {
		return false, err
	}
	report, err := checker.Check(ctx, files, o)
	if err != nil {
		return false, err
	}
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return report.OK(), encoder.Encode(report)
	}
	return report.OK(), report.WriteText(out)
}

// open finds the file system of both directories, and leaves their paths in o.
func open(o *checker.Options, user string, timeout time.Duration) (checker.Files, error) {
	output, err := url.Parse(o.Output)
	if err != nil {
		return nil, err
	}
	trace, err := url.Parse(o.Trace)
	if err != nil {
		return nil, err
	}
	if o.Trace != "" && (trace.Scheme != output.Scheme || trace.Host != output.Host) {
		return nil, fmt.Errorf("output and trace must be on one file system: %s, %s", o.Output, o.Trace)
	}
	o.Output, o.Trace = output.Path, trace.Path
	switch output.Scheme {
	case "":
		return checker.Local(), nil
	case "hdfs":
		host := output.Host
		if output.Port() == "" {
			host += ":8020"
		}
		client, err := checker.DialHDFS([]string{host}, user, timeout)
		if err != nil {
			return nil, err
		}
		return checker.HDFS(client), nil
	default:
		return nil, fmt.Errorf("%s: only hdfs://host:port/path and paths of this machine", output)
	}
}
