package lease

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnOlderWriterKeepsWhatANewerOneAdded(t *testing.T) {
	stored := `{"jobUid":"U","epoch":3,"exhausted":{"generation":2},"hold":{"operation":"A"}}`
	var state State
	require.NoError(t, json.Unmarshal([]byte(stored), &state))
	state.Epoch, state.Hold = 4, nil
	body, err := encodeOver(stored, state)
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &all))
	require.Contains(t, all, "exhausted")
	require.NotContains(t, all, "hold", "what this version took away stays away")
	require.EqualValues(t, 4, all["epoch"])
}
