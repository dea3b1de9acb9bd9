package record

import (
	"context"
	"encoding/json"
	"slices"

	"sluice/activities"
	"sluice/internal/job"
)

// past is what of an operation's result tells what it took (upgrade.Progress).
type past struct {
	DowntimeMS int64 `json:"downtimeMs"`
	Plan       struct {
		Strategy    job.Strategy `json:"strategy"`
		NoSavepoint bool         `json:"noSavepoint"`
	} `json:"plan"`
	Steps []struct {
		Name       string `json:"name"`
		State      string `json:"state"`
		DurationMS int64  `json:"durationMs"`
	} `json:"steps"`
}

// pastOperations reads the results of a job's last committed operations.
func (a *Activities) pastOperations(ctx context.Context, in activities.PastIn) (activities.PastOut, error) {
	results, err := a.Store.CommittedResults(ctx, in.JobUID)
	out := activities.PastOut{Operations: make([]activities.Past, 0, len(results))}
	for _, result := range results {
		var p past
		if json.Unmarshal(result, &p) == nil { // else of a release that wrote another form
			out.Operations = append(out.Operations, p.took())
		}
	}
	return out, err
}

func (p past) took() activities.Past {
	t := activities.Past{Strategy: p.Plan.Strategy, DowntimeMS: p.DowntimeMS}
	for _, step := range p.Steps {
		switch {
		case step.State != "done":
		case slices.Contains([]string{"stop", "savepoint"}, step.Name):
			t.SavepointMS = step.DurationMS
		case step.Name == "cold": // warm was planned, and didn't fit
			t.Strategy = job.Cold
		}
	}
	return t
}
