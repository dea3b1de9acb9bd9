//go:build scenario

package scenario_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
	"sluice/testsuite/audit"
	. "sluice/testsuite/scenario"
)

// upgradeInTheMetrics: an operation that waits rings, and stops ringing when it
// goes on; an upgrade that goes well rings for nothing, has its downtime and its
// steps in Prometheus, and asks Kubernetes for no more than it may. Every metric
// that the rules and the dashboard name is there.
func upgradeInTheMetrics(t *testing.T) {
	w := Given(t, "measured")
	p := w.Prometheus()
	for _, rule := range p.Rules() {
		require.Empty(t, rule.LastError, rule.Name)
	}
	waits := func() bool {
		return slices.Contains(p.Values("tenant", `ALERTS{alertname="SluiceOperationWaits",alertstate="firing"}`), w.Tenant)
	}

	w.LoseElection() // one observer tells how many wait, whoever it is
	w.Apply(V1)
	accepted := w.Begin(Request(job.Start))
	w.AfterActivity(activities.AwaitGeneration.Name)
	w.ArmAgent(1, "submit-job", "before", "refuse")
	o := w.Wait(accepted.Operation)
	require.Equal(t, job.Waiting, o.Phase)
	w.Until("SluiceOperationWaits rings", 90*time.Second, waits)
	w.Say("SluiceOperationWaits rings")
	w.Want(202, "POST", "/operations/"+accepted.Operation+"/retry", map[string]string{"reason": "mended"}, nil)
	require.Equal(t, job.Committed, w.WaitPast(accepted.Operation, o.Progress.Version).Phase)
	w.Until("SluiceOperationWaits rings no more", 30*time.Second, func() bool { return !waits() })
	w.Records(300)

	const downtimes = `sluice_operation_downtime_seconds_count{tenant="measured",kind="upgrade",strategy="warm"}`
	before, rang, failed := p.Sum(downtimes), p.Firing(w.Tenant), p.Failing(w.Name)
	w.Apply(V2)
	requests := w.Requests(func() { o = w.Run(Request(job.Upgrade)) })
	w.Say("%d requests to the API server:\n%s", len(requests), audit.Table(requests))
	require.LessOrEqual(t, len(requests), MaxRequests)
	// Each worker and agent is scraped at its own moment.
	w.Until("Prometheus has the upgrade's downtime", 30*time.Second, func() bool { return p.Sum(downtimes) == before+1 })
	w.UntilHas("steps of upgrades in Prometheus", 30*time.Second, names(o.Progress), func() []string {
		return p.Values("step", `sum by (step) (sluice_operation_step_duration_seconds_count{kind="upgrade",state="done"})`)
	})
	w.UntilHas("effects of the job's agents in Prometheus", 30*time.Second, []string{"submit-job", "write-lease", "upload-jar"}, func() []string {
		return p.Values("effect", `sum by (effect) (sluice_effect_duration_seconds_count{job="sluice-agent",outcome="ok",sluice_job="`+w.Name+`"})`)
	})
	require.InDelta(t, failed, p.Failing(w.Name), 0, "effects of a healthy upgrade work")
	require.EqualValues(t, 1, p.Sum("sluice_observer_leading"))

	for _, name := range p.Firing(w.Tenant) {
		require.Contains(t, rang, name, "a healthy upgrade rings for nothing")
	}
	loaded := p.Rules()
	for _, alert := range w.Alerts() {
		require.Contains(t, loaded, Rule{Name: alert, Health: "ok"})
	}
	require.Subset(t, p.Names(), w.Named("deploy/monitoring/rules.yaml", "deploy/monitoring/dashboard.json"))

	w.Records(900)
	w.Run(Request(job.Stop))
	w.Green("v1", "v2")
}
