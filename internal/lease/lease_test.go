package lease_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/lease"
)

// held is a Lease whose generation 1 runs submission 1, held by operation A for
// its generation 2.
func held(outcome lease.Outcome) lease.State {
	return lease.State{
		JobUID: "U", Generation: 2, Epoch: 1,
		Generations: []lease.Generation{{Number: 1, Standing: lease.Active, Operation: "first"}, {Number: 2, Standing: lease.Standby, Operation: "A"}},
		Intent:      &lease.Intent{Epoch: 1, Generation: 1, FlinkJobID: "F1", Outcome: outcome},
		Hold:        &lease.Hold{Operation: "A", Epoch: 1},
	}
}

func refusedWith(t *testing.T, code failure.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, failure.CodeOf(err), err.Error())
}

func TestReserveGivesAnOperationOneNumberForEver(t *testing.T) {
	s := lease.State{JobUID: "U"}
	s, first := s.Reserve("A")
	s, again := s.Reserve("A")
	s, second := s.Reserve("B")
	require.Equal(t, []int{1, 1, 2}, []int{first, again, second})
	require.Equal(t, lease.Standby, s.Standing(1))
	s, err := s.Retire(2)
	require.NoError(t, err)
	_, third := s.Reserve("C")
	require.Equal(t, 3, third, "a number is never used again")
}

func TestOnlyOneOperationHolds(t *testing.T) {
	s := held(lease.Accepted)
	_, err := s.Place("B", "now", "")
	refusedWith(t, failure.Refused, err)
	again, err := s.Place("A", "later", "")
	require.NoError(t, err)
	require.Equal(t, s, again)
	other, err := s.Release("B", "")
	require.NoError(t, err)
	require.Equal(t, "A", other.Hold.Operation, "another's hold is left alone")
}

// A hold whose write was under way when the operation gave up must not come back.
func TestAReleasedOperationNeverHoldsAgain(t *testing.T) {
	free := held(lease.Accepted)
	free.Hold = nil
	released, err := free.Release("A", "")
	require.NoError(t, err)
	require.NotEqual(t, free, released, "the release is a write also where no hold was seen")
	_, err = released.Place("A", "late", "A")
	refusedWith(t, failure.Refused, err)
	again, err := released.Release("A", "")
	require.NoError(t, err)
	require.Equal(t, released, again)
}

// Not even when another operation came and went meanwhile.
func TestALateHoldOfAnOperationThatIsOverIsRefused(t *testing.T) {
	free := held(lease.Accepted)
	free.Hold = nil
	planned := free.Released // as A saw it
	free, err := free.Release("A", "")
	require.NoError(t, err)
	free, err = free.Release("B", "")
	require.NoError(t, err)
	_, err = free.Place("A", "late", planned)
	refusedWith(t, failure.Refused, err)
	_, err = free.Place("C", "now", free.Released)
	require.NoError(t, err)
}

// A job that finished by itself has ended; one that was stopped has not. A stop
// that left no savepoint explains nothing: the job was faster.
func TestOnlyAnUnexplainedFinishIsAnEnd(t *testing.T) {
	s, err := held(lease.Accepted).Record(1, lease.Finished, "")
	require.NoError(t, err)
	require.NotNil(t, s.Ended)
	stopping, err := held(lease.Accepted).Stopping("A", lease.StopSent{FlinkJobID: "F1"})
	require.NoError(t, err)
	s, err = stopping.Record(1, lease.Finished, "")
	require.NoError(t, err)
	require.NotNil(t, s.Ended)
	s, err = stopping.Record(1, lease.Finished, "sp")
	require.NoError(t, err)
	require.Nil(t, s.Ended)
	require.Empty(t, stopping.Hold.Stop.Savepoint, "the decision didn't reach back")
}

// What a stop left stays on the Lease over every repeat of it.
func TestAStopsSavepointStays(t *testing.T) {
	stopping, err := held(lease.Accepted).Stopping("A", lease.StopSent{FlinkJobID: "F1", TriggerID: "T"})
	require.NoError(t, err)
	over, err := stopping.Record(1, lease.Finished, "sp")
	require.NoError(t, err)
	again, err := over.Stopping("A", lease.StopSent{FlinkJobID: "F1", TriggerID: "T"})
	require.NoError(t, err)
	require.Equal(t, "sp", again.Hold.Stop.Savepoint)
}

func TestTheWriterMovesOnlyWhenTheLastSubmissionIsOver(t *testing.T) {
	for _, live := range []lease.Outcome{lease.Open, lease.Accepted} {
		_, err := held(live).Move("A", 2)
		refusedWith(t, failure.Unproven, err)
	}
	for _, over := range []lease.Outcome{lease.Finished, lease.Failed, lease.Canceled, lease.Closed} {
		s, err := held(over).Move("A", 2)
		require.NoError(t, err)
		require.Equal(t, 2, s.ActiveGeneration())
		require.Equal(t, lease.Standby, s.Standing(1))
		again, err := s.Move("A", 2)
		require.NoError(t, err)
		require.Equal(t, s, again)
	}
	_, err := held(lease.Finished).Move("B", 2)
	refusedWith(t, failure.Refused, err)
}

func TestIntend(t *testing.T) {
	moved, err := held(lease.Finished).Move("A", 2)
	require.NoError(t, err)
	in := lease.Intent{Epoch: 2, Generation: 2, Operation: "A", FlinkJobID: "F2", RestorePath: "sp"}
	s, err := moved.Intend(in)
	require.NoError(t, err)
	require.Equal(t, lease.Open, s.Intent.Outcome)
	require.EqualValues(t, 2, s.Epoch)

	again, err := s.Intend(in)
	require.NoError(t, err)
	require.Equal(t, s, again, "the same intent again changes nothing")

	other := in
	other.RestorePath = "elsewhere"
	_, err = s.Intend(other)
	refusedWith(t, failure.Refused, err)

	cases := map[string]struct {
		state lease.State
		in    lease.Intent
		code  failure.Code
	}{
		"stale epoch":            {moved, lease.Intent{Epoch: 1, Generation: 2, Operation: "A", FlinkJobID: "X"}, failure.Refused},
		"an epoch left out":      {moved, lease.Intent{Epoch: 3, Generation: 2, Operation: "A", FlinkJobID: "X"}, failure.Refused},
		"standby generation":     {moved, lease.Intent{Epoch: 2, Generation: 1, Operation: "A", FlinkJobID: "X"}, failure.Refused},
		"another operation":      {moved, lease.Intent{Epoch: 2, Generation: 2, Operation: "B", FlinkJobID: "X"}, failure.Refused},
		"the last one may live":  {s, lease.Intent{Epoch: 3, Generation: 2, Operation: "A", FlinkJobID: "X"}, failure.Unproven},
		"nobody holds the Lease": {lease.State{Epoch: 1}, lease.Intent{Epoch: 2, Generation: 1, Operation: "A"}, failure.Refused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := c.state.Intend(c.in)
			refusedWith(t, c.code, err)
		})
	}
}

func TestATerminalOutcomeIsNeverTakenBack(t *testing.T) {
	s, err := held(lease.Finished).Record(1, lease.Accepted, "")
	require.NoError(t, err)
	require.Equal(t, lease.Finished, s.Intent.Outcome)
	_, err = s.Record(9, lease.Failed, "")
	refusedWith(t, failure.Refused, err)
}

func TestAnActiveGenerationWithALivingSubmissionIsNotRetired(t *testing.T) {
	_, err := held(lease.Accepted).Retire(1)
	refusedWith(t, failure.Refused, err)
	s, err := held(lease.Finished).Retire(1)
	require.NoError(t, err)
	require.Equal(t, lease.Retired, s.Standing(1))
	require.Zero(t, s.ActiveGeneration())
}

func TestACancelBehindAStopForgetsNotWhereItsSavepointIs(t *testing.T) {
	sent := lease.StopSent{FlinkJobID: "F1", TriggerID: "T", Directory: "hdfs://nn/d"}
	stopping, err := held(lease.Accepted).Stopping("A", sent)
	require.NoError(t, err)
	canceling, err := stopping.Stopping("A", lease.StopSent{FlinkJobID: "F1"})
	require.NoError(t, err)
	require.Equal(t, sent, *canceling.Hold.Stop)
}

func TestAStopNamesTheSubmissionOnTheLease(t *testing.T) {
	_, err := held(lease.Accepted).Stopping("A", lease.StopSent{FlinkJobID: "another"})
	refusedWith(t, failure.Refused, err)
	s, err := held(lease.Accepted).Stopping("A", lease.StopSent{FlinkJobID: "F1", TriggerID: "T"})
	require.NoError(t, err)
	require.Equal(t, "T", s.Hold.Stop.TriggerID)
}

// Decisions never change the State that they were made on.
func TestDecisionsDoNotReachBack(t *testing.T) {
	s := held(lease.Finished)
	_, _ = s.Move("A", 2)
	_, _ = s.Stopping("A", lease.StopSent{FlinkJobID: "F1"})
	_, _ = s.Acknowledged("A", "pod")
	_, _ = s.Retire(1)
	require.Equal(t, held(lease.Finished), s)
}

// How a lineage goes back beyond the last submission.
func TestOriginsGoBackToTheLastStartWithoutState(t *testing.T) {
	s := lease.State{JobUID: "U", Generations: []lease.Generation{{Number: 1, Standing: lease.Active}}, Hold: &lease.Hold{Operation: "A"}}
	submit := func(from string) {
		t.Helper()
		var err error
		s, err = s.Intend(lease.Intent{Epoch: s.Epoch + 1, Generation: 1, Operation: "A", FlinkJobID: fmt.Sprint("F", s.Epoch+1), RestorePath: from})
		require.NoError(t, err)
		s.Intent.Outcome = lease.Canceled
	}
	submit("")
	submit("s1")
	submit("s2")
	require.Equal(t, []lease.Origin{{Epoch: 1}, {Epoch: 2, RestorePath: "s1"}}, s.Origins)
	for epoch, want := range map[int64]string{1: "", 2: "s1", 3: "s2"} {
		from, known := s.Origin(epoch)
		require.True(t, known)
		require.Equal(t, want, from)
	}
	_, known := s.Origin(4)
	require.False(t, known)

	before := s
	for range 30 {
		submit("s")
	}
	require.Len(t, s.Origins, 20)
	require.EqualValues(t, 32, s.Origins[19].Epoch, "the newest")
	require.Len(t, before.Origins, 2, "a decision doesn't reach back")
	submit("")
	require.Empty(t, s.Origins)
}
