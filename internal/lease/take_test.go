package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/lease"
)

// Who takes a dead operation's hold over gets what that one owes with it.
func TestATakenHoldKeepsWhatItOwes(t *testing.T) {
	s := held(lease.Accepted)
	stop := lease.StopSent{FlinkJobID: "F1", TriggerID: "T", Directory: "d"}
	s, err := s.Stopping("A", stop)
	require.NoError(t, err)
	require.True(t, s.Owes(), "a stop is under way")
	taken, err := s.Take("B", "now", s)
	require.NoError(t, err)
	require.Equal(t, &lease.Hold{Operation: "B", Epoch: 1, Since: "now", Stop: &stop}, taken.Hold)
	require.Equal(t, "A", s.Hold.Operation, "the decision didn't reach back")
	again, err := taken.Take("B", "later", s)
	require.NoError(t, err)
	require.Equal(t, taken, again)
	_, err = taken.Stopping("A", stop)
	refusedWith(t, failure.Refused, err)
	over, err := taken.Record(1, lease.Finished, "savepoint")
	require.NoError(t, err)
	require.Nil(t, over.Ended)
	require.False(t, over.Owes())
	require.Equal(t, "savepoint", over.Stopped().Savepoint)
}

// What the dead one still wrote behind the look is not passed over.
func TestAHoldThatChangedIsNotTaken(t *testing.T) {
	seen := held(lease.Accepted)
	stopped, err := seen.Stopping("A", lease.StopSent{FlinkJobID: "F1", TriggerID: "T"})
	require.NoError(t, err)
	moved, err := held(lease.Finished).Move("A", 2)
	require.NoError(t, err)
	submitted, err := moved.Intend(lease.Intent{Epoch: 2, Generation: 2, Operation: "A", FlinkJobID: "F2"})
	require.NoError(t, err)
	released, err := seen.Release("A", "")
	require.NoError(t, err)
	other := held(lease.Accepted)
	other.Hold.Operation = "C"
	for name, now := range map[string]lease.State{"stopped": stopped, "moved": moved, "submitted": submitted, "released": released, "another's": other} {
		_, err := now.Take("B", "now", seen)
		require.Error(t, err, name)
		refusedWith(t, failure.Refused, err)
	}
	require.True(t, submitted.Uncommitted())
	require.True(t, submitted.Owes())
	require.Nil(t, submitted.Stopped(), "of another submission")
	require.False(t, seen.Owes())
}
