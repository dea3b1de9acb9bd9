//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
)

func (a *app) getCommand() *cobra.Command {
	return group("get", "Show jobs, operations, revisions, snapshots, profiles",
		a.getter("jobs", "The tenant's jobs", 0, a.getJobs),
		a.getter("job JOB", "A job with its newest revision", 1, a.getJob),
		a.getter("operations [JOB]", "The newest operations, of the tenant or of one job", -1, a.getOperations),
		a.getter("operation ID", "An operation with its timeline", 1, a.getOperation),
		a.getter("revisions JOB", "A job's revisions", 1, a.getRevisions),
		a.getter("revision JOB NUMBER", "One revision", 2, a.getRevision),
		a.getter("snapshots JOB", "The ledger of a job's snapshots", 1, a.getSnapshots),
		a.getter("profiles", "The tenant's profiles", 0, a.getProfiles),
		a.getter("profile NAME", "One profile", 1, a.getProfile),
	)
}

// query is what a getter works with.
type query struct {
	client *apiclient.Client
	args   []string
	limit  int
}

// getter makes a command; count -1 is none or one argument. Where the first
// argument is a job it may be written tenant/name.
func (a *app) getter(use, short string, count int, run func(context.Context, query) error) *cobra.Command {
	least, most := count, count
	if count < 0 {
		least, most = 0, 1
	}
	q := query{}
	command := &cobra.Command{Use: use, Short: short, Args: arguments(least, most), RunE: func(c *cobra.Command, args []string) error {
		var err error
		if named := c.Name(); len(args) > 0 && named != "operation" && named != "profile" {
			if args[0], err = a.jobRef(args[0]); err != nil {
				return err
			}
		}
		if q.limit < 1 {
			return usage("--limit %d is less than 1", q.limit)
		}
		if q.client, err = a.client(); err != nil {
			return err
		}
		q.args = args
		return run(c.Context(), q)
	}}
	command.Flags().IntVar(&q.limit, "limit", 100, "entries shown at most")
	return command
}

// page is a piece of any list of the api's, or several pieces put together.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// largestPage is the most that the api gives at once.
const largestPage = 500

// pages asks for page after page until there are limit entries. ask gets a page's
// size and the place where it begins, "" for the first; the address of a next
// page says that place in the parameter named.
func pages[T any](limit int, parameter string, ask func(size int, from string) (*http.Response, error)) (page[T], error) {
	all := page[T]{Items: []T{}}
	for from := ""; ; {
		one, err := read[page[T]](ask(min(limit-len(all.Items), largestPage), from))
		if err != nil {
			return all, err
		}
		all.Items, all.Next = append(all.Items, one.Items...), one.Next
		from = cursor(one.Next, parameter)
		if from == "" || len(one.Items) == 0 || len(all.Items) >= limit {
			return all, nil
		}
	}
}

// cursor is the place that a next page's address names; "" for none.
func cursor(next, parameter string) string {
	address, err := url.Parse(next)
	if err != nil {
		return ""
	}
	return address.Query().Get(parameter)
}

// more says that a list was cut.
func (a *app) more(next string) {
	if next != "" {
		_, _ = fmt.Fprintln(a.err, "there are more: raise --limit")
	}
}

func (a *app) getJobs(ctx context.Context, q query) error {
	list, err := pages[apiclient.Job](q.limit, "after", func(size int, from string) (*http.Response, error) {
		return q.client.ListJobs(ctx, a.tenant, &apiclient.ListJobsParams{Limit: size, After: from})
	})
	if err != nil {
		return err
	}
	defer a.more(list.Next)
	rows := make([][]string, len(list.Items))
	for i, j := range list.Items {
		rows[i] = []string{j.Name, j.Site, j.Current.State, number(j.Current.Revision), number(j.NewestRevision), orDash(j.Current.Profile), number(j.Current.Generation), number(j.Current.Epoch)}
	}
	return a.print(list, "NAME SITE STATE REVISION NEWEST PROFILE GENERATION EPOCH", rows)
}

// inForce is the revision that was committed, beside the newest.
func inForce(j apiclient.Job) string {
	text := number(j.Current.Revision) + " (newest " + number(j.NewestRevision) + ")"
	if j.Current.Withdrawn >= j.NewestRevision && j.Current.Withdrawn > 0 {
		text += ", rolled back to: newer ones run only when they are named"
	}
	return text
}

func (a *app) getJob(ctx context.Context, q query) error {
	j, err := read[apiclient.Job](q.client.GetJob(ctx, a.tenant, q.args[0]))
	if err != nil {
		return err
	}
	rows := [][]string{
		{"job", j.Tenant + "/" + j.Name}, {"uid", j.UID}, {"site", j.Site}, {"state", j.Current.State},
		{"revision", inForce(j)}, {"profile", orDash(j.Current.Profile)},
		{"generation", number(j.Current.Generation)}, {"epoch", number(j.Current.Epoch)}, {"last operation", orDash(j.Current.Operation)},
		{"engine", j.Revision.Spec.Engine.Name + " " + j.Revision.Spec.Engine.Version}, {"artifact (newest)", j.Revision.Spec.Artifact},
		{"entry class", j.Revision.Spec.EntryClass}, {"created", when(j.CreatedAt) + " by " + j.CreatedBy},
	}
	if j.LastIncident.ID != "" {
		rows = append(rows, []string{"last incident", j.LastIncident.What})
	}
	return a.print(j, "", rows)
}

func (a *app) getOperations(ctx context.Context, q query) error {
	list, err := pages[apiclient.Operation](q.limit, "before", func(size int, from string) (*http.Response, error) {
		if len(q.args) == 1 {
			return q.client.ListJobOperations(ctx, a.tenant, q.args[0], &apiclient.ListJobOperationsParams{Limit: size, Before: from})
		}
		return q.client.ListOperations(ctx, a.tenant, &apiclient.ListOperationsParams{Limit: size, Before: from})
	})
	if err != nil {
		return err
	}
	defer a.more(list.Next)
	rows := make([][]string, len(list.Items))
	for i, o := range list.Items {
		rows[i] = []string{o.Operation, o.Job.Name, o.Kind, o.Phase, when(o.CreatedAt), when(o.EndedAt), o.CreatedBy}
	}
	return a.print(list, "ID JOB KIND PHASE CREATED ENDED BY", rows)
}

func (a *app) getOperation(ctx context.Context, q query) error {
	o, err := read[apiclient.Operation](q.client.GetOperation(ctx, a.tenant, q.args[0], nil))
	if err != nil {
		return err
	}
	if a.output != table {
		return a.print(o, "", nil)
	}
	return a.printOperation(o)
}

func (a *app) getRevisions(ctx context.Context, q query) error {
	list, err := pages[apiclient.Revision](q.limit, "below", func(size int, from string) (*http.Response, error) {
		below, _ := strconv.Atoi(from) // 0, from the newest, for the first page
		return q.client.ListRevisions(ctx, a.tenant, q.args[0], &apiclient.ListRevisionsParams{Limit: size, Below: below})
	})
	if err != nil {
		return err
	}
	defer a.more(list.Next)
	rows := make([][]string, len(list.Items))
	for i, r := range list.Items {
		rows[i] = []string{strconv.Itoa(r.Number), r.Spec.Engine.Name + "-" + r.Spec.Engine.Version, short(r.Spec.Artifact), r.Spec.EntryClass, when(r.CreatedAt), r.CreatedBy}
	}
	return a.print(list, "NUMBER ENGINE ARTIFACT CLASS CREATED BY", rows)
}

func (a *app) getRevision(ctx context.Context, q query) error {
	n, err := strconv.Atoi(q.args[1])
	if err != nil || n < 1 {
		return usage("%q is not a revision's number", q.args[1])
	}
	r, err := read[apiclient.Revision](q.client.GetRevision(ctx, a.tenant, q.args[0], n))
	if err != nil {
		return err
	}
	rows := [][]string{
		{"revision", strconv.Itoa(r.Number)}, {"digest", r.Digest}, {"engine", r.Spec.Engine.Name + " " + r.Spec.Engine.Version},
		{"artifact", r.Spec.Artifact}, {"entry class", r.Spec.EntryClass}, {"created", when(r.CreatedAt) + " by " + r.CreatedBy},
	}
	for _, dependency := range r.Spec.Dependencies {
		rows = append(rows, []string{"dependency", dependency})
	}
	for _, argument := range r.Spec.Arguments {
		rows = append(rows, []string{"argument", argument})
	}
	for _, option := range sorted(r.Spec.Options) {
		rows = append(rows, []string{"option", option + ": " + r.Spec.Options[option]})
	}
	return a.print(r, "", rows)
}

func (a *app) getSnapshots(ctx context.Context, q query) error {
	list, err := read[apiclient.SnapshotList](q.client.ListSnapshots(ctx, a.tenant, q.args[0]))
	if err != nil {
		return err
	}
	rows := make([][]string, len(list.Items))
	for i, s := range list.Items {
		rows[i] = []string{number(s.Epoch), number(s.CheckpointID), s.Kind, s.State, number(s.Revision), when(s.CreatedAt), s.Path}
	}
	return a.print(list, "EPOCH ID KIND STATE REVISION CREATED PATH", rows)
}

func (a *app) getProfiles(ctx context.Context, q query) error {
	list, err := read[apiclient.ProfileList](q.client.ListProfiles(ctx, a.tenant))
	if err != nil {
		return err
	}
	rows := make([][]string, len(list.Items))
	for i, p := range list.Items {
		rows[i] = profileRow(p)
	}
	return a.print(list, profileHeader, rows)
}

const profileHeader = "NAME PARALLELISM TASKMANAGERS SLOTS TASKMANAGER JOBMANAGER BUILT-IN"

func profileRow(p apiclient.Profile) []string {
	return []string{
		p.Name, strconv.Itoa(p.Parallelism), strconv.Itoa(p.TaskManager.Replicas), strconv.Itoa(p.TaskManager.Slots),
		fmt.Sprintf("%s/%dMiB", p.TaskManager.CPU, p.TaskManager.MemoryMiB), fmt.Sprintf("%s/%dMiB", p.JobManager.CPU, p.JobManager.MemoryMiB),
		strconv.FormatBool(p.BuiltIn),
	}
}

func (a *app) getProfile(ctx context.Context, q query) error {
	p, err := read[apiclient.Profile](q.client.GetProfile(ctx, a.tenant, q.args[0]))
	if err != nil {
		return err
	}
	return a.print(p, profileHeader, [][]string{profileRow(p)})
}

func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19] + "…"
	}
	return digest
}
