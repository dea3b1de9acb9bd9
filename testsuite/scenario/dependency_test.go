//go:build scenario

package scenario_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	. "sluice/testsuite/scenario"
)

// labelled is a job that can't run without its dependency, which says what stands
// in the version column.
func labelled(dependency string) Version {
	return Version{Jar: "counter-v1.jar", Entry: "io.sluice.jobs.Labelled", Depends: []string{dependency}}
}

func upgradeDependency(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(labelled("label/label-v1.jar"))
	w.Run(Request(job.Start))
	w.Records(300)
	image := w.Image(1, "jobmanager")

	w.Apply(labelled("label/label-v2.jar"))
	o := w.Run(Request(job.Upgrade))
	require.Len(t, o.Progress.Plan.Changes, 1)
	require.Equal(t, "dependencies.0", o.Progress.Plan.Changes[0].Field)
	require.Equal(t, image, w.Image(2, "jobmanager"), "no new image")
	w.Records(900)

	w.Replace(2, "taskmanager")
	w.Records(w.Report().Records + 200) // it publishes again: it runs

	w.Apply(labelled("label/label-v1.jar").On("2.3.0"))
	w.Run(Request(job.Upgrade))
	w.Records(w.Report().Records + 200)
	w.Run(Request(job.Stop))
	w.GreenAfterRollback("label-v1", "label-v2")
}

func badDependencyDigest(t *testing.T) {
	w := Given(t, "shop")
	w.Apply(labelled("label/label-v1.jar"))
	w.Run(Request(job.Start))
	w.Records(300)
	before := w.Lease()
	planted := w.PlantArtifact(w.Jar("label/label-v2.jar"))
	w.Apply(labelled(planted))
	o := w.Fails(Request(job.Upgrade))
	require.Equal(t, failure.Incompatible, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, planted)
	require.Empty(t, w.Savepoints(), "the running job was not touched")
	require.Equal(t, before.Intent, w.Lease().Intent)
	w.Records(900)
	w.Run(Request(job.Stop))
	report := w.Green("label-v1")
	require.Len(t, report.Trace.Submissions, 1, "the job ran through")
}
