package agent

import (
	"net/http"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/look"
)

// maxLooks at once: people at their browsers must not keep the JobManager from
// answering this process.
const maxLooks = 16

// getFlink reads something of Flink's for a person. It touches neither the Lease nor a
// command: whatever is asked for here, the job runs on.
func (a *Agent) getFlink(w http.ResponseWriter, r *http.Request) {
	read, err := look.Parse(r, agentapi.LookPath)
	if err != nil {
		look.Refuse(w, r, err)
		return
	}
	select {
	case a.looks <- struct{}{}:
		defer func() { <-a.looks }()
	default:
		look.Refuse(w, r, failure.New(failure.Unavailable, "%d others look at this job's Flink just now", maxLooks))
		return
	}
	if err := a.ui.Forward(w, r, read); err != nil {
		look.Refuse(w, r, err)
	}
}
