//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/job"
)

const planLong = `Shows what an operation would do now, or why it would be refused. Nothing is
changed: a plan may be made by whoever may read.

  sluice plan JOB              the newest revision
  sluice plan -f job.yaml      the revision that apply would make of the file

Without --kind it is an upgrade of a job that runs, else a start. A local
artifact is hashed, and must have been pushed; --push does it.

The same facts give the same digest. With --plan-digest an operation (sluice op
upgrade …) ends before it changes anything when its plan is another than the one
that you have seen.`

// planWish are the flags of a plan.
type planWish struct {
	request apiclient.PlanRequest
	files   []string
	push    bool
	said    []string // the flags that the operation would need too, as they were typed
}

// planOnly are the flags of a plan that an operation doesn't have.
var planOnly = []string{"file", "kind", "push", "plan-digest"}

func (a *app) planCommand() *cobra.Command {
	w := planWish{}
	command := &cobra.Command{
		Use: "plan [JOB]", Short: "Show what an operation would do, without doing it", Long: planLong, Args: arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			c.Flags().Visit(func(flag *pflag.Flag) {
				if !slices.Contains(planOnly, flag.Name) && c.InheritedFlags().Lookup(flag.Name) == nil {
					w.said = append(w.said, typedFlag(flag))
				}
			})
			if (len(args) == 0) == (len(w.files) == 0) {
				return usage("give a job or -f FILE")
			}
			if len(args) == 0 {
				return a.planFiles(c.Context(), w)
			}
			name, err := a.jobRef(args[0])
			if err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			return a.planJob(c.Context(), client, name, args[0], w)
		},
	}
	flags := command.Flags()
	filesFlag(command, &w.files)
	flags.StringVar(&w.request.Kind, "kind", "", "start, upgrade, stop, savepoint, restart or rollback; upgrade when it runs, else start, when left out")
	flags.IntVar(&w.request.Revision, "revision", 0, "revision; the newest when left out (of a rollback the newest older one that ran)")
	flags.StringVar(&w.request.Profile, "profile", "", "profile; the one in force when left out, else ordinary")
	flags.StringVar(&w.request.Strategy, "strategy", "", "warm (default), cold or in-place")
	flags.BoolVar(&w.request.AllowCold, "allow-cold", false, "of an upgrade: cold when the new TaskManagers don't fit beside those that run")
	flags.BoolVar(&w.request.AllowUnchecked, "allow-unchecked", false, "of a cold upgrade: stop first, check then, when not even the new JobManager fits beside what runs")
	flags.BoolVar(&w.request.Stateless, "stateless", false, "of a start: without a snapshot; of a stop: whether or not one is left")
	flags.StringVar(&w.request.FromSnapshot, "from-snapshot", "", "of a start: from this snapshot (hdfs://…), an older one of the job's own or a copy of another")
	flags.BoolVar(&w.request.WithoutSavepoint, "without-savepoint", false, "of an upgrade or stop: the newest checkpoint when no savepoint can be taken")
	flags.BoolVar(&w.request.AllowStateLoss, "allow-state-loss", false, "state may go for which the new job graph has no operator")
	flags.StringVar(&w.request.Replay, "replay", "", "of an upgrade: ask (default), allow or deny a rollback to publish again what came after the savepoint")
	flags.StringVar(&w.request.PlanDigest, "plan-digest", "", "say only whether the plan is still this one")
	flags.BoolVar(&w.push, "push", false, "push local artifacts that the server lacks")
	return command
}

// planJob plans a revision that is applied; typed is what the person called the job.
func (a *app) planJob(ctx context.Context, client *apiclient.Client, name, typed string, w planWish) error {
	if w.request.Kind == "" {
		there, err := read[apiclient.Job](client.GetJob(ctx, a.tenant, name))
		if err != nil {
			return err
		}
		w.request.Kind = kindFor(there)
	}
	plan, err := read[apiclient.Plan](client.MakePlan(ctx, a.tenant, name, w.request))
	if err != nil {
		return err
	}
	if a.output != table {
		return a.print(plan, "", nil)
	}
	a.printPlan(name, plan, w.command(typed, plan))
	return nil
}

// kindFor is the operation that changes a job, by whether it runs.
func kindFor(there apiclient.Job) string {
	if there.Current.State == "running" {
		return string(job.Upgrade)
	}
	return string(job.Start)
}

func (a *app) planFiles(ctx context.Context, w planWish) error {
	manifests, err := readManifests(w.files)
	if err != nil {
		return err
	}
	given := a.tenant
	plans := []any{}
	var failed error
	for _, m := range manifests {
		a.tenant = first(m.Tenant, given)
		if m.Kind == kindProfile {
			_, _ = fmt.Fprintf(a.err, "profile %s: a plan takes the one that the server has; sluice diff shows how the file's differs\n", clean(m.Name))
			continue
		}
		plan, err := a.planFile(ctx, m, w)
		if err != nil {
			failed = err
			break
		}
		plans = append(plans, plan)
		if a.output == table {
			name := m.Name
			if m.Tenant != "" {
				name = m.Tenant + "/" + m.Name
			}
			a.printPlan(m.Name, plan, "sluice apply -f "+strings.Join(w.files, " -f ")+" && "+w.command(name, plan))
		}
	}
	if err := a.printDocuments(plans, len(manifests) > 1); err != nil {
		return err
	}
	return failed
}

func (a *app) planFile(ctx context.Context, m manifest, w planWish) (apiclient.Plan, error) {
	client, err := a.client()
	if err != nil {
		return apiclient.Plan{}, err
	}
	spec, err := a.specOf(ctx, client, m, w.push)
	if err != nil {
		return apiclient.Plan{}, err
	}
	there, err := read[apiclient.Job](client.GetJob(ctx, a.tenant, m.Name))
	switch {
	case failure.CodeOf(err) == failure.NotFound:
		return apiclient.Plan{}, failure.New(failure.NotFound, "job %s/%s does not exist yet: there is nothing to plan against", a.tenant, m.Name).
			WithNext("sluice apply creates it and starts nothing; then: sluice plan %s", m.Name)
	case err != nil:
		return apiclient.Plan{}, err
	case w.request.Kind == "":
		w.request.Kind = kindFor(there)
	}
	body := toAPI(spec)
	w.request.Spec = &body
	return read[apiclient.Plan](client.MakePlan(ctx, a.tenant, m.Name, w.request))
}

// printPlan shows a plan to a person, and the command that does just this.
func (a *app) printPlan(name string, p apiclient.Plan, command string) {
	out := a.out
	strategy := ""
	if p.Strategy != "" {
		strategy = " (" + p.Strategy + ")"
		if p.Why != "" {
			strategy = " (" + p.Strategy + ": " + p.Why + ")"
		}
	}
	_, _ = fmt.Fprintf(out, "%s %s/%s%s\n", clean(p.Kind), clean(a.tenant), clean(name), clean(strategy))
	line := func(name, text string) {
		if text != "" {
			_, _ = fmt.Fprintf(out, "  %-8s  %s\n", name, clean(text))
		}
	}
	line("from", side(p.From))
	line("to", side(p.To))
	if p.To.Revision != 0 && p.From.Revision != 0 {
		if len(p.Changes) == 0 {
			line("changes", "none")
		} else {
			line("changes", fmt.Sprint(len(p.Changes)))
			printChanges(indented{out}, fromAPIChanges(p.Changes))
		}
	}
	line("needs", needs(p))
	for _, room := range p.Quota {
		fits := "fits"
		if !room.Fits {
			fits = "does not fit"
		}
		line("quota", fmt.Sprintf("%s: %s %s: needs %s, %s of %s are left", fits, room.Quota, room.Resource, room.Needs, room.Left, room.Hard))
	}
	line("expect", expect(p.Predicted))
	line(restoreWord(p), p.Restore)
	line("kept now", p.Keeps)
	if t := p.Transactions; t.TimeoutMs > 0 {
		line("kafka", fmt.Sprintf("transactions are kept for %s after the stop (the brokers' maximum: %s)", took(t.TimeoutMs), took(t.BrokerMaxMs)))
		line("warning", t.Warning)
	}
	line("steps", strings.Join(p.Steps, ", "))
	line("digest", p.Digest)
	_, _ = fmt.Fprintf(out, "to do just this: %s\n", clean(command))
}

// indented puts two blanks before what is one line at a time.
type indented struct{ w io.Writer }

func (i indented) Write(line []byte) (int, error) {
	_, err := i.w.Write(append([]byte("  "), line...))
	return len(line), err
}

// restoreWord: what stops restores nothing.
func restoreWord(p apiclient.Plan) string {
	if p.Kind == string(job.Stop) {
		return "keeps"
	}
	return "restore"
}

func fromAPIChanges(changes []apiclient.Change) []job.Change {
	all := make([]job.Change, len(changes))
	for i, c := range changes {
		all[i] = job.Change{Field: c.Field, From: c.From, To: c.To}
	}
	return all
}

func side(s apiclient.Side) string {
	if s.Revision == 0 {
		return ""
	}
	text := fmt.Sprintf("revision %d (%s), profile %s", s.Revision, brief(s.Digest), s.Profile)
	if s.Generation != 0 {
		text += fmt.Sprintf(", generation %d", s.Generation)
	}
	if s.Epoch != 0 {
		text += fmt.Sprintf(", epoch %d", s.Epoch)
	}
	return text
}

func needs(p apiclient.Plan) string {
	if p.Delta.MemoryMiB == 0 {
		return ""
	}
	text := fmt.Sprintf("%s CPU, %d MiB of memory, %d slots", p.Delta.CPU, p.Delta.MemoryMiB, p.Delta.Slots)
	if job.Kind(p.Kind).Replaces() {
		text += ", beside what runs until the old generation is gone"
	}
	return text
}

// expect is what the operation will probably take.
func expect(p apiclient.Prediction) string {
	var parts []string
	if p.Savepoints > 0 {
		parts = append(parts, fmt.Sprintf("savepoint and stop %s (median of %d)", took(p.SavepointMs), p.Savepoints))
	}
	if p.Downtimes > 0 {
		parts = append(parts, fmt.Sprintf("down for %s (median of %d)", took(p.DowntimeMs), p.Downtimes))
	}
	if p.Note != "" {
		parts = append(parts, p.Note)
	}
	return strings.Join(parts, ", ")
}

// command is the operation that runs this plan or none.
func (w planWish) command(name string, p apiclient.Plan) string {
	words := append([]string{"sluice op", p.Kind, name}, w.said...)
	return strings.Join(append(words, "--plan-digest", p.Digest), " ")
}

func typedFlag(flag *pflag.Flag) string {
	switch value := flag.Value.String(); {
	case flag.Value.Type() != "bool":
		return "--" + flag.Name + " " + value
	case value == "true":
		return "--" + flag.Name
	default:
		return "--" + flag.Name + "=" + value
	}
}
