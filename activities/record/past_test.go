package record

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/job"
)

func TestWhatAnOperationTook(t *testing.T) {
	for result, want := range map[string]activities.Past{
		`{"downtimeMs": 900, "plan": {"strategy": "warm"}, "steps": [{"name": "stop", "state": "failed", "durationMs": 5}, {"name": "stop", "state": "done", "durationMs": 300}]}`: {Strategy: job.Warm, SavepointMS: 300, DowntimeMS: 900},
		`{"downtimeMs": 900, "plan": {"strategy": "warm"}, "steps": [{"name": "cold", "state": "done", "durationMs": 1}, {"name": "cancel", "state": "done"}]}`:                    {Strategy: job.Cold, DowntimeMS: 900},
		`{"steps": [{"name": "savepoint", "state": "done", "durationMs": 7}]}`:                                                                                                     {SavepointMS: 7},
		`{}`: {},
	} {
		var p past
		require.NoError(t, json.Unmarshal([]byte(result), &p))
		require.Equal(t, want, p.took())
	}
}
