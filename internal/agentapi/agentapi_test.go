package agentapi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A history from before Since replays, and the agent of its time, which refuses
// fields that it doesn't know, is sent none.
func TestASoakWithoutSince(t *testing.T) {
	const old = `{"flinkJobId":"f","seconds":30}`
	var in SoakIn
	require.NoError(t, json.Unmarshal([]byte(old), &in))
	require.Equal(t, SoakIn{FlinkJobID: "f", Seconds: 30}, in)
	sent, err := json.Marshal(in)
	require.NoError(t, err)
	require.Equal(t, old, string(sent))
}
