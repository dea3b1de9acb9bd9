package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/lease"
)

// From the note on nobody may repeat the POST; who isn't the holder can't note it.
func TestAClosingSubmissionIsNotRepeated(t *testing.T) {
	moved, err := held(lease.Finished).Move("A", 2)
	require.NoError(t, err)
	in := lease.Intent{Epoch: 2, Generation: 2, Operation: "A", FlinkJobID: "F2"}
	open, err := moved.Intend(in)
	require.NoError(t, err)
	_, err = open.Close("B", 2)
	refusedWith(t, failure.Refused, err)
	_, err = open.Close("A", 1)
	refusedWith(t, failure.Refused, err)
	closing, err := open.Close("A", 2)
	require.NoError(t, err)
	require.False(t, open.Intent.Closing, "the decision didn't reach back")
	_, err = closing.Intend(in)
	refusedWith(t, failure.Refused, err)
	again, err := closing.Close("A", 2)
	require.NoError(t, err)
	require.Equal(t, closing, again)
}
