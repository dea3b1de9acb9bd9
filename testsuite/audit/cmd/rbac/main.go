// rbac shows from the API server's audit log that api, worker and agents have
// just the rights that they use: every right of deploy/ and of the agents' Role
// was used, nothing else was, and no request was refused.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/testsuite/audit"
)

func main() {
	log := flag.String("log", os.Getenv("SLUICE_AUDIT_LOG"), "the audit log; those beside it that were rotated away are read too")
	since := flag.String("since", "", "only requests from this time on (RFC 3339)")
	deploy := flag.String("deploy", "deploy", "the folder of the manifests")
	flag.Parse()
	ok, err := run(os.Stdout, *log, *since, *deploy)
	if err != nil {
		fmt.Fprintln(os.Stderr, "rbac:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(out io.Writer, log, since, deploy string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(deploy, "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		return false, fmt.Errorf("no manifests in %s (%w)", deploy, err)
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		folder := filepath.Base(filepath.Dir(f))
		return folder != "base" && folder != "tenant"
	})
	granted, err := audit.Granted(files...)
	if err != nil {
		return false, err
	}
	events, err := read(log, since)
	if err != nil {
		return false, err
	}
	proof := audit.Prove(granted, events)
	_, err = io.WriteString(out, table(proof))
	return proof.OK(), err
}

func read(log, since string) ([]audit.Event, error) {
	var from time.Time
	if since != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, since); err != nil {
			return nil, err
		}
	}
	extension := filepath.Ext(log)
	files, _ := filepath.Glob(log[:len(log)-len(extension)] + "-*" + extension)
	var all []audit.Event
	for _, file := range append(files, log) {
		opened, err := audit.Open(file)
		if err != nil {
			return nil, err
		}
		events, err := opened.Next()
		_ = opened.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(events, func(e audit.Event) bool { return e.At.Before(from) })...)
	}
	return all, nil
}

// table is for people.
func table(p audit.Proof) string {
	var b strings.Builder
	byText := func(a, b audit.Right) int { return cmp.Compare(a.String(), b.String()) }
	fmt.Fprintln(&b, "rights that were used, and how often:")
	for _, right := range slices.SortedFunc(maps.Keys(p.Used), byText) {
		fmt.Fprintf(&b, "%8d  %s\n", p.Used[right], right)
	}
	for _, right := range p.Lent {
		fmt.Fprintf(&b, "    lent  %s (held because the agents' Role gives it, or for an informer whose watch can't begin with what there is)\n", right)
	}
	for _, right := range p.Unused {
		fmt.Fprintf(&b, "  UNUSED  %s: take it away, or show with a scenario what it is for\n", right)
	}
	for _, right := range slices.SortedFunc(maps.Keys(p.Foreign), byText) {
		fmt.Fprintf(&b, " FOREIGN  %s (%d): used, but not given by deploy/\n", right, p.Foreign[right])
	}
	for _, line := range p.Refused {
		fmt.Fprintf(&b, " REFUSED  %s\n", line)
	}
	fmt.Fprintf(&b, "%d rights used, %d lent, %d unused, %d foreign; %d requests refused\n", len(p.Used), len(p.Lent), len(p.Unused), len(p.Foreign), len(p.Refused))
	return b.String()
}
