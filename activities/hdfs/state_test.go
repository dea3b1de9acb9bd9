package hdfs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/snapshot"
)

// A payload stays below 200 KB, whatever the job: what has state stays in it.
func TestSummarize(t *testing.T) {
	for _, operators := range []int{1, 500, 501, 5000, snapshot.MaxOperators} {
		s := snapshot.Snapshot{Version: 6, CheckpointID: 9}
		for i := range operators {
			o := snapshot.Operator{
				ID: fmt.Sprintf("%032x", i), Name: strings.Repeat("名", 60), UID: strings.Repeat("u", 200),
				Parallelism: 1 << 15, MaxParallelism: 1 << 15, Bytes: 1 << 60,
			}
			if i >= operators-10 {
				o.Coordinator = true
			}
			s.Operators = append(s.Operators, o)
		}
		out := Summarize(s)
		require.Len(t, out.Operators, min(operators, agentapi.MaxOperators))
		require.Equal(t, operators, len(out.Operators)+out.Omitted)
		require.Zero(t, out.OmittedState)
		state := 0
		for _, o := range out.Operators {
			if o.State {
				state++
			}
		}
		require.Equal(t, min(operators, 10), state)
		data, err := json.Marshal(out)
		require.NoError(t, err)
		require.Less(t, len(data), 200_000)
	}
}
