//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
	"sluice/workflows/upgrade"
)

// upgradeConfig: the same jar with another interval, another rate and another
// profile.
func upgradeConfig(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	other := Small
	other.Name, other.Parallelism, other.TaskManager.MemoryMiB = "narrow", 1, 960
	w.Profile(other)
	faster := V1
	faster.Rate, faster.Interval = 300, "1 s"
	faster.Options = map[string]string{"pipeline.object-reuse": "true"}

	request := Request(job.Upgrade)
	request.Profile = other.Name
	spec := w.Spec(faster, w.Push(faster.Jar))
	plan := planned(w, request, &spec)
	shown := map[string]upgrade.Change{}
	for _, c := range plan.Changes {
		shown[c.Field] = c
	}
	require.Equal(t, "2 s", shown["options.execution.checkpointing.interval"].From)
	require.Equal(t, "1 s", shown["options.execution.checkpointing.interval"].To)
	require.Equal(t, upgrade.Change{Field: "options.pipeline.object-reuse", To: "true"}, shown["options.pipeline.object-reuse"])
	require.Contains(t, shown["arguments"].From, "--rate 200")
	require.Contains(t, shown["arguments"].To, "--rate 300")
	require.Equal(t, upgrade.Change{Field: "profile", From: Small.Name, To: other.Name}, shown["profile"])
	require.Len(t, plan.Changes, 4, "nothing else")

	w.Apply(faster)
	request.PlanDigest = plan.Digest
	o := w.Run(request)
	state := o.Progress.Plan.State
	require.Zero(t, state.Lost.Total+state.New.Total+state.TooWide.Total)
	require.Contains(t, operatorNames(state.Kept), "count")
	require.Equal(t, other.Name, w.Lease().Profile)
	w.Records(1200)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 2)
}

// badImage: the kubelet can't have the engine's image. That is said with the
// kubelet's own words, long before any deadline.
func badImage(t *testing.T) {
	w := Given(t, "shop")
	w.Running(V1)
	before := w.Lease()
	w.Apply(V2.On("1.20.0-nowhere"))
	began := time.Now()
	o := w.Fails(Request(job.Upgrade))
	require.Less(t, time.Since(began), 30*time.Second)
	require.Equal(t, failure.Invalid, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "127.0.0.1:1/sluice/flink:nowhere")
	require.Regexp(t, "ErrImagePull|ImagePullBackOff", o.Progress.Failure.Message)
	require.Contains(t, o.Progress.Failure.Next, "engines[].image")
	require.Equal(t, "pods", o.Progress.Steps[len(o.Progress.Steps)-1].Name)
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	require.Nil(t, w.Lease().Hold)
	w.Run(Request(job.Stop))
	report := w.Green("v1")
	require.Len(t, report.Trace.Submissions, 1, "the job ran through")
}
