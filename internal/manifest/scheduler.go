package manifest

import "maps"

// schedulerOptions choose the adaptive scheduler, which can be given another
// parallelism while the job runs. It waits, by default, 10 s for slots that are
// missing when a job starts, 30 s after a rescale until the next and 60 s until
// what changed is stable: it does none of that here, with one exception.
//
// A job starts as soon as all slots that it asked for are there. With some of
// them it starts after startWait: TaskManagers offer their slots one by one, and
// without that wait a job on two of them began at half its parallelism and
// restarted at once (seen on 1.20.5 and 2.3.0).
func (in Input) schedulerOptions() map[string]string {
	const (
		prefix    = "jobmanager.adaptive-scheduler."
		startWait = "3 s"
	)
	options := map[string]string{"jobmanager.scheduler": "adaptive"}
	if in.Revision.Spec.Engine.Major() < 2 {
		maps.Copy(options, map[string]string{
			prefix + "resource-stabilization-timeout": startWait,
			prefix + "scaling-interval.min":           "0 s",
		})
		return options
	}
	maps.Copy(options, map[string]string{
		prefix + "submission.resource-stabilization-timeout": startWait,
		prefix + "executing.resource-stabilization-timeout":  "0 s",
		prefix + "executing.cooldown-after-rescaling":        "0 s",
		// Not until the next checkpoint: it would be an interval away.
		prefix + "rescale-trigger.max-delay": "0 s",
	})
	return options
}
