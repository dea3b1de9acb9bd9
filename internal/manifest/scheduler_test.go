package manifest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Unknown options are ignored without a word: each line gets its own names only.
func TestSchedulerOfEachLine(t *testing.T) {
	const prefix = "jobmanager.adaptive-scheduler."
	for version, names := range map[string][]string{
		"1.20.5": {"resource-stabilization-timeout", "scaling-interval.min"},
		"2.3.0": {
			"executing.cooldown-after-rescaling", "executing.resource-stabilization-timeout",
			"rescale-trigger.max-delay", "submission.resource-stabilization-timeout",
		},
	} {
		in := sample()
		in.Revision.Spec.Engine.Version = version
		in.Revision.Spec.Options = map[string]string{"jobmanager.scheduler": "default", "scheduler-mode": "reactive", prefix + names[0]: "1 h"}
		options, err := in.FlinkOptions()
		require.NoError(t, err)
		require.Equal(t, "adaptive", options["jobmanager.scheduler"])
		require.NotContains(t, options, "scheduler-mode")
		var set []string
		for _, option := range slices.Sorted(maps.Keys(options)) {
			if name, is := strings.CutPrefix(option, prefix); is {
				set = append(set, name)
				require.Contains(t, []string{"0 s", "3 s"}, options[option], "%s: the platform's word counts", option)
			}
		}
		require.Equal(t, names, set, version)
	}
}
