package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"sluice/internal/apiclient"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// maxAway is how long a watched operation may be out of reach: it runs on, only
// we can't see it.
const maxAway = 5 * time.Minute

// watch follows an operation until it is over or waits for a decision. Progress
// goes to stdout as a table, else to stderr.
func (a *app) watch(ctx context.Context, client *apiclient.Client, id string) error {
	to := a.out
	if a.output != table {
		to = a.err
	}
	view := newTimeline(to)
	defer view.close()
	states := a.source(client, id)
	defer states.close()
	version, lost := int64(0), time.Time{}
	for wait := time.Second; ; {
		o, err := states.next(ctx, version)
		unseen := failure.CodeOf(err) == failure.Unavailable || err == nil && o.Progress.Version == 0 && !o.Final
		switch {
		case err != nil && !unseen:
			return err
		case unseen:
			if lost.IsZero() {
				lost = time.Now()
			}
			if time.Since(lost) > maxAway {
				return failure.New(failure.Unavailable, "nobody could say how operation %s goes for %s", id, took(maxAway.Milliseconds())).
					WithNext("it goes on by itself: sluice op watch %s", id)
			}
			view.note(reason(o))
			if err == nil && states.stream != nil {
				continue // the server says when somebody knows more
			}
			if err := pause(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, 10*time.Second)
			continue
		}
		lost, wait, version = time.Time{}, time.Second, o.Progress.Version
		view.show(o.Progress)
		if o.Final || job.Phase(o.Phase) == job.Waiting {
			view.close()
			return a.conclude(o, to)
		}
	}
}

// reason is why the progress can't be seen.
func reason(o apiclient.Operation) string {
	if o.ProgressUnavailable != "" {
		return o.ProgressUnavailable
	}
	return "the server is out of reach; the operation goes on by itself"
}

// conclude prints the end and says the exit code.
func (a *app) conclude(o apiclient.Operation, to io.Writer) error {
	printEnd(to, o)
	if a.output != table {
		if err := a.print(o, "", nil); err != nil {
			return err
		}
	}
	switch job.Phase(o.Phase) {
	case job.Committed:
		return nil
	case job.Waiting:
		return ended{exitWaiting}
	default:
		return ended{exitFailed}
	}
}

func printEnd(w io.Writer, o apiclient.Operation) {
	p := o.Progress
	_, _ = fmt.Fprintf(w, "%s %s/%s: %s\n", o.Kind, clean(o.Job.Tenant), clean(o.Job.Name), o.Phase)
	if o.Final && o.ProgressUnavailable != "" {
		_, _ = fmt.Fprintf(w, "  %s\n", clean(o.ProgressUnavailable))
	}
	if p.Savepoint != "" {
		_, _ = fmt.Fprintf(w, "  savepoint  %s\n", clean(p.Savepoint))
	}
	if p.Rollback.Why != "" {
		exact := "exact"
		if !p.Rollback.Exact {
			exact = fmt.Sprintf("publishes again what submission %d published", p.Rollback.Replay.Epoch)
		}
		_, _ = fmt.Fprintf(w, "  rolled back to %s (%s)\n", orDash(clean(p.Rollback.RestorePath)), exact)
	}
	if p.TransactionsExpireAt != "" {
		_, _ = fmt.Fprintf(w, "  kafka      transactions expire at %s: the job must run again before that\n", clean(p.TransactionsExpireAt))
	}
	if p.DowntimeMs > 0 {
		_, _ = fmt.Fprintf(w, "  downtime   %s\n", took(p.DowntimeMs))
	}
	if p.Plan.Unchecked != "" {
		_, _ = fmt.Fprintf(w, "  unchecked  %s\n", clean(p.Plan.Unchecked))
	}
	printState(w, p.Plan.State)
	if p.Failure.Code != "" {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", clean(p.Failure.Code), clean(p.Failure.Message))
		if p.Failure.Next != "" {
			_, _ = fmt.Fprintf(w, "  → %s\n", clean(p.Failure.Next))
		}
	}
	if job.Phase(o.Phase) == job.Waiting {
		for _, line := range p.Evidence {
			_, _ = fmt.Fprintf(w, "  seen: %s\n", clean(line))
		}
		_, _ = fmt.Fprintf(w, "  waits for: %s\n", orDash(clean(p.WaitingFor)))
		for _, option := range p.Options {
			_, _ = fmt.Fprintf(w, "  → sluice op decide %s --option %-8s %s\n", o.Operation, clean(option.Name), clean(option.What))
		}
	}
	if o.Links.TemporalUI != "" {
		_, _ = fmt.Fprintf(w, "  Temporal   %s\n", clean(o.Links.TemporalUI))
	}
}

// printOperation is "get operation" as a table.
func (a *app) printOperation(o apiclient.Operation) error {
	rows := make([][]string, len(o.Progress.Steps))
	for i, s := range o.Progress.Steps {
		rows[i] = []string{s.Name, s.State, took(s.DurationMs), orDash(s.Detail)}
	}
	if len(rows) > 0 {
		if err := printTable(a.out, "STEP STATE TOOK DETAIL", rows); err != nil {
			return err
		}
	}
	if o.Progress.WaitingFor != "" && !o.Final {
		_, _ = fmt.Fprintf(a.out, "waits for: %s, since %s\n", clean(o.Progress.WaitingFor), clean(o.Progress.Since))
	}
	if o.ProgressUnavailable != "" && !o.Final {
		_, _ = fmt.Fprintln(a.out, clean(o.ProgressUnavailable))
	}
	printEnd(a.out, o)
	return nil
}

// timeline prints each step once it ends; what runs now is one live line in a
// terminal, else a line when it begins and when it waits for something new.
type timeline struct {
	w       io.Writer
	printed map[int]bool
	last    string

	live chan news // nil when w is no terminal: then all is plain lines
	done chan struct{}
}

// news is a line that stays, or what goes on now.
type news struct {
	line string
	now  string
}

func newTimeline(w io.Writer) *timeline {
	t := &timeline{w: w, printed: map[int]bool{}}
	if terminal(w) {
		t.live, t.done = make(chan news), make(chan struct{})
		go t.spin(t.live)
	}
	return t
}

// terminal says whether a person looks at w, so that a line can be redrawn.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// clearLine empties a terminal's current line.
const clearLine = "\r\033[K"

// show prints what is new.
func (t *timeline) show(p apiclient.Progress) {
	now := ""
	for i, s := range p.Steps {
		switch {
		case t.printed[i]:
		case s.State == "running":
			now = s.Name
		default:
			t.printed[i] = true
			t.line(fmt.Sprintf("%-4s %-28s %8s  %s", mark(s.State), clean(s.Name), took(s.DurationMs), clean(s.Detail)))
		}
	}
	if now != "" && p.WaitingFor != "" {
		now += ": waits for " + p.WaitingFor
	}
	t.note(now)
}

func mark(state string) string {
	switch state {
	case "done":
		return "ok"
	case "failed":
		return "FAIL"
	}
	return "--"
}

// note says what goes on now.
func (t *timeline) note(text string) {
	if text = clean(text); text == t.last {
		return
	}
	t.last = text
	if t.live != nil {
		t.live <- news{now: text}
	} else if text != "" {
		_, _ = fmt.Fprintf(t.w, "     %s\n", text)
	}
}

func (t *timeline) line(text string) {
	t.last = ""
	if t.live != nil {
		t.live <- news{line: text}
	} else {
		_, _ = fmt.Fprintln(t.w, text)
	}
}

// close clears the live line; what comes after is printed as it is.
func (t *timeline) close() {
	if t.live != nil {
		close(t.live)
		<-t.done
		t.live = nil
	}
}

// spin is the only one that writes to a terminal: it redraws the live line with
// the time that it has stood.
func (t *timeline) spin(live <-chan news) {
	defer close(t.done)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	text, since := "", time.Now()
	for {
		select {
		case n, open := <-live:
			_, _ = fmt.Fprint(t.w, clearLine)
			if !open {
				return
			}
			if n.line != "" {
				_, _ = fmt.Fprintln(t.w, n.line)
			}
			text, since = n.now, time.Now()
		case <-tick.C:
		}
		if text != "" {
			_, _ = fmt.Fprintf(t.w, clearLine+"...  %s (%s)", text, took(time.Since(since).Milliseconds()))
		}
	}
}
