package cli

import (
	"fmt"
	"io"

	"sluice/internal/apiclient"
)

// printState says what the upgrade's job graph means to the job's state; nothing
// where all of it goes on.
func printState(w io.Writer, c apiclient.StateComparison) {
	for _, part := range []struct {
		title string
		list  apiclient.OperatorList
		wide  bool
	}{{"lost", c.Lost, false}, {"too wide", c.TooWide, true}, {"starts empty", c.New, false}} {
		for _, o := range part.list.Operators {
			line := orDash(clean(o.Name))
			if o.UID != "" {
				line += ", uid " + clean(o.UID)
			}
			line += ", id " + clean(o.ID)
			if o.Bytes > 0 {
				line += ", " + size(o.Bytes)
			}
			if part.wide {
				line += fmt.Sprintf(", parallelism %d of at most %d", o.Parallelism, o.MaxParallelism)
			}
			_, _ = fmt.Fprintf(w, "  state      %s: %s\n", part.title, line)
		}
		if more := part.list.Total - len(part.list.Operators); more > 0 {
			_, _ = fmt.Fprintf(w, "  state      %s: %d more\n", part.title, more)
		}
	}
	if c.Unknown != "" {
		_, _ = fmt.Fprintf(w, "  state      %s\n", clean(c.Unknown))
	}
}
