//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/job"
)

const diffLong = `Shows, field by field, how manifests differ from what exists: a job from its
newest revision and from the one that runs, a profile from the server's. A local
artifact is hashed, not pushed; nothing is changed.

Exit code 0: nothing differs; 1: something does; 2 and more: an error.`

func (a *app) diffCommand() *cobra.Command {
	var files []string
	command := &cobra.Command{
		Use: "diff -f FILE…", Short: "Show what apply would change, field by field", Long: diffLong, Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			manifests, err := readManifests(files)
			if err != nil {
				return err
			}
			found, err := a.differences(c.Context(), manifests)
			if err == nil {
				err = a.printDifferences(found, len(manifests) > 1)
			}
			if err != nil {
				return trouble{err}
			}
			for _, d := range found {
				if d.Differs {
					return ended{exitFailed}
				}
			}
			return nil
		},
	}
	filesFlag(command, &files)
	return command
}

// difference is a manifest against what exists.
type difference struct {
	Kind    string       `json:"kind"`
	Tenant  string       `json:"tenant"`
	Name    string       `json:"name"`
	New     bool         `json:"new,omitempty"` // there is none yet
	Differs bool         `json:"differs"`
	Against []comparison `json:"against"`
}

// comparison is a manifest against one thing that exists, or against nothing.
type comparison struct {
	Revision int          `json:"revision,omitempty"` // of a job
	Newest   bool         `json:"newest,omitempty"`
	Runs     bool         `json:"runs,omitempty"`
	Changes  []job.Change `json:"changes"`
}

func (a *app) differences(ctx context.Context, manifests []manifest) ([]difference, error) {
	given := a.tenant
	defer func() { a.tenant = given }()
	found := make([]difference, 0, len(manifests))
	for _, m := range manifests {
		a.tenant = first(m.Tenant, given)
		client, err := a.client()
		if err != nil {
			return nil, err
		}
		d := difference{Kind: m.Kind, Tenant: a.tenant, Name: m.Name}
		if m.Kind == kindProfile {
			err = a.diffProfile(ctx, client, m, &d)
		} else {
			err = a.diffJob(ctx, client, m, &d)
		}
		if err != nil {
			return nil, err
		}
		for i, c := range d.Against {
			if c.Changes == nil {
				d.Against[i].Changes = []job.Change{} // as JSON a list, never null
			}
			d.Differs = d.Differs || len(c.Changes) > 0
		}
		found = append(found, d)
	}
	return found, nil
}

func (a *app) diffJob(ctx context.Context, client *apiclient.Client, m manifest, d *difference) error {
	spec, err := a.specOf(ctx, client, m, false)
	if err != nil {
		return err
	}
	there, err := read[apiclient.Job](client.GetJob(ctx, a.tenant, m.Name))
	if failure.CodeOf(err) == failure.NotFound {
		d.New, d.Differs = true, true
		d.Against = []comparison{{Changes: append([]job.Change{{Field: "site", To: m.Site}}, job.Changes(job.Spec{}, spec)...)}}
		return nil
	}
	if err != nil {
		return err
	}
	newest := comparison{Revision: there.Revision.Number, Newest: true, Changes: job.Changes(fromAPI(there.Revision.Spec), spec)}
	if there.Site != m.Site { // apply will say that it can't be
		newest.Changes = append([]job.Change{{Field: "site", From: there.Site, To: m.Site}}, newest.Changes...)
	}
	running := 0
	if there.Current.State == "running" {
		running = there.Current.Revision
	}
	newest.Runs = running == newest.Revision
	d.Against = []comparison{newest}
	if running == 0 || newest.Runs {
		return nil
	}
	old, err := read[apiclient.Revision](client.GetRevision(ctx, a.tenant, m.Name, running))
	d.Against = append(d.Against, comparison{Revision: running, Runs: true, Changes: job.Changes(fromAPI(old.Spec), spec)})
	return err
}

func fromAPI(spec apiclient.Spec) job.Spec {
	var secrets []job.Secret
	for _, s := range spec.Secrets {
		secrets = append(secrets, job.Secret{Name: s.Name, MountPath: s.MountPath, Env: s.Env, Key: s.Key})
	}
	var kafka *job.Kafka
	if len(spec.Kafka.Brokers) > 0 {
		kafka = &job.Kafka{Brokers: spec.Kafka.Brokers, TransactionTimeoutMS: spec.Kafka.TransactionTimeoutMs}
	}
	return job.Spec{
		Kafka:  kafka,
		Engine: job.Engine{Name: spec.Engine.Name, Version: spec.Engine.Version}, Artifact: spec.Artifact,
		EntryClass: spec.EntryClass, Dependencies: spec.Dependencies,
		Arguments: spec.Arguments, Options: spec.Options,
		Secrets: secrets,
	}
}

func (a *app) diffProfile(ctx context.Context, client *apiclient.Client, m manifest, d *difference) error {
	if reason := job.CheckName(m.Name); reason != "" {
		return failure.New(failure.Invalid, "profile %s is not valid", m.Name).WithFields(failure.Field{Name: "/name", Reason: reason})
	}
	there, err := read[apiclient.Profile](client.GetProfile(ctx, a.tenant, m.Name))
	if failure.CodeOf(err) == failure.NotFound {
		d.New, d.Differs, err = true, true, nil
	}
	d.Against = []comparison{{Changes: profileChanges(there, apiclient.Profile{JobManager: m.JobManager, TaskManager: m.TaskManager, Parallelism: m.Parallelism})}}
	return err
}

func profileChanges(before, after apiclient.Profile) []job.Change {
	var all []job.Change
	add := func(field, from, to string) {
		if from != to {
			all = append(all, job.Change{Field: field, From: from, To: to})
		}
	}
	count := func(field string, from, to int) { add(field, digits(from), digits(to)) }
	add("jobManager.cpu", before.JobManager.CPU, after.JobManager.CPU)
	count("jobManager.memoryMiB", before.JobManager.MemoryMiB, after.JobManager.MemoryMiB)
	add("jobManager.jvm", before.JobManager.Jvm, after.JobManager.Jvm)
	add("taskManager.cpu", before.TaskManager.CPU, after.TaskManager.CPU)
	count("taskManager.memoryMiB", before.TaskManager.MemoryMiB, after.TaskManager.MemoryMiB)
	add("taskManager.jvm", before.TaskManager.Jvm, after.TaskManager.Jvm)
	count("taskManager.replicas", before.TaskManager.Replicas, after.TaskManager.Replicas)
	count("taskManager.slots", before.TaskManager.Slots, after.TaskManager.Slots)
	count("parallelism", before.Parallelism, after.Parallelism)
	return all
}

// digits is a number; "" for none.
func digits(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (a *app) printDifferences(found []difference, several bool) error {
	if a.output == table {
		for _, d := range found {
			d.print(a.out)
		}
		return nil
	}
	values := make([]any, len(found))
	for i, d := range found {
		values[i] = d
	}
	return a.printDocuments(values, several)
}

func (d difference) print(w io.Writer) {
	name := clean(strings.ToLower(d.Kind) + " " + d.Tenant + "/" + d.Name)
	for _, c := range d.Against {
		verdict := "does not differ"
		if len(c.Changes) > 0 {
			verdict = "differs"
		}
		switch {
		case d.New:
			_, _ = fmt.Fprintf(w, "%s: new\n", name)
		case d.Kind == kindProfile:
			_, _ = fmt.Fprintf(w, "%s: %s\n", name, verdict)
		default:
			_, _ = fmt.Fprintf(w, "%s: %s from revision %d, %s\n", name, verdict, c.Revision, c.standing())
		}
		printChanges(w, c.Changes)
	}
}

func (c comparison) standing() string {
	switch {
	case c.Newest && c.Runs:
		return "the newest, which runs"
	case c.Newest:
		return "the newest"
	}
	return "which runs"
}

// printChanges shows what is added (+), taken away (-) and changed (~).
func printChanges(w io.Writer, changes []job.Change) {
	width := 0
	for _, c := range changes {
		width = max(width, len(clean(c.Field)))
	}
	for _, c := range changes {
		from, to := clean(brief(c.From)), clean(brief(c.To))
		switch field := clean(c.Field); {
		case c.From == "":
			_, _ = fmt.Fprintf(w, "  + %-*s  %s\n", width, field, to)
		case c.To == "":
			_, _ = fmt.Fprintf(w, "  - %-*s  %s\n", width, field, from)
		default:
			_, _ = fmt.Fprintf(w, "  ~ %-*s  %s → %s\n", width, field, from, to)
		}
	}
}

// brief shortens a digest; -o json shows it whole.
func brief(value string) string {
	if _, err := job.ParseDigest(value); err == nil {
		return short(value)
	}
	return value
}

// confirm shows what would be changed of what exists, and asks.
func (a *app) confirm(ctx context.Context, manifests []manifest) error {
	found, err := a.differences(ctx, manifests)
	if err != nil {
		return err
	}
	changed := 0
	for _, d := range found {
		if d.Against = d.Against[:1]; !d.New && len(d.Against[0].Changes) > 0 { // what runs isn't touched by apply
			d.print(a.err)
			changed++
		}
	}
	if changed == 0 {
		return nil
	}
	_, _ = fmt.Fprint(a.err, "Apply this? [y/N] ")
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		said <- line
	}()
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(a.err)
		return failure.New(failure.Canceled, "interrupted; nothing was applied")
	case line := <-said:
		if word := strings.ToLower(strings.TrimSpace(line)); word == "y" || word == "yes" {
			return nil
		}
		return failure.New(failure.Canceled, "nothing was applied")
	}
}

// first is the first that isn't empty.
func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
