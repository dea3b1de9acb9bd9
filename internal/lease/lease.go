// Package lease is the writer lease (DESIGN §3): the Kubernetes Lease <job>
// that says who may submit. It is the only package that writes it, and it
// writes by compare-and-swap only: a decision made on an old reading is never
// stored. Decisions are pure functions State → State; Client.Update stores them.
package lease

import (
	"fmt"
	"slices"

	"sluice/internal/failure"
)

// Standing of a generation.
type Standing string

// Active may submit, Standby may come back (or is being prepared), Retired
// never acts again.
const (
	Active  Standing = "active"
	Standby Standing = "standby"
	Retired Standing = "retired"
)

// Outcome of an intent.
type Outcome string

// Open: posted or about to be, answer unknown. Accepted: Flink has it. Closed:
// it can never run. The rest are Flink's terminal states, written when seen.
const (
	Open     Outcome = "open"
	Accepted Outcome = "accepted"
	Closed   Outcome = "closed"
	Finished Outcome = "FINISHED"
	Failed   Outcome = "FAILED"
	Canceled Outcome = "CANCELED"
)

// Over says that nothing of the intent runs or can start to run.
func (o Outcome) Over() bool {
	return o == Closed || o == Finished || o == Failed || o == Canceled
}

// State is all that the Lease carries.
type State struct {
	JobUID      string       `json:"jobUid"`
	Generation  int          `json:"generation"` // highest ever given
	Generations []Generation `json:"generations,omitempty"`
	Epoch       int64        `json:"epoch"`
	Intent      *Intent      `json:"intent,omitempty"`
	Hold        *Hold        `json:"hold,omitempty"`
	Ended       *Ended       `json:"ended,omitempty"`
	Profile     string       `json:"profile,omitempty"` // in force
	Size        *Size        `json:"size,omitempty"`    // nil: generations have the one they were made with
	// Released is the operation that gave its hold up last: a write of it that
	// arrives late can't place the hold again, and the release is a write even
	// where no hold was seen, so that such a write loses its race.
	Released string `json:"released,omitempty"`
	// Origins are the submissions before the intent, back to the last one without
	// state, oldest first: where each came from. Only the newest few are kept.
	Origins []Origin `json:"origins,omitempty"`
}

// Origin is from what an earlier submission was started.
type Origin struct {
	Epoch       int64  `json:"epoch"`
	RestorePath string `json:"restorePath"` // "": without state
}

// maxOrigins keeps the Lease small: how far back a lineage is known.
const maxOrigins = 20

// Generation is one cluster made for the job. Retired ones are kept only while
// they matter (the newest few), so the Lease stays small.
type Generation struct {
	Number    int      `json:"number"`
	Standing  Standing `json:"standing"`
	Operation string   `json:"operation"` // that made it
}

// Intent is one submission, noted before its POST.
type Intent struct {
	Epoch                 int64  `json:"epoch"`
	Generation            int    `json:"generation"`
	Operation             string `json:"operation"`
	FlinkJobID            string `json:"flinkJobId"`
	RestorePath           string `json:"restorePath,omitempty"`
	Revision              int    `json:"revision,omitempty"`
	JobManagerPodUID      string `json:"jobManagerPodUid"`
	JobManagerContainerID string `json:"jobManagerContainerId"`
	JobManagerAttempt     int    `json:"jobManagerAttempt,omitempty"` // which container of its pod that is, from 1; 0: not known
	// Closing: it isn't wanted any more, and is being brought to an end; nobody may
	// repeat its POST.
	Closing bool    `json:"closing,omitempty"`
	Outcome Outcome `json:"outcome"`
}

// Size is the parallelism to which a generation was brought in place. It is noted
// before Flink is told: whoever submits to that generation next, also after its
// JobManager died, submits at this size.
type Size struct {
	Generation  int    `json:"generation"`
	FlinkJobID  string `json:"flinkJobId"`
	Profile     string `json:"profile"`
	Parallelism int    `json:"parallelism"`
}

// Hold stops every agent but for this operation's commands.
type Hold struct {
	Operation      string    `json:"operation"`
	Epoch          int64     `json:"epoch"`
	Since          string    `json:"since"`                    // RFC 3339, for people only; nothing is decided by it
	AcknowledgedBy string    `json:"acknowledgedBy,omitempty"` // pod UID of the agent
	Stop           *StopSent `json:"stop,omitempty"`
}

// StopSent is noted before a stop or cancel is sent.
type StopSent struct {
	FlinkJobID string `json:"flinkJobId"`
	TriggerID  string `json:"triggerId"`
	Directory  string `json:"directory"`
	// Savepoint is what the stop left, written with the job's end: a JobManager
	// that came after it knows of neither.
	Savepoint string `json:"savepoint,omitempty"`
}

// Ended is an end that no stop on the Lease explains by the savepoint it left.
type Ended struct {
	Epoch int64  `json:"epoch"`
	State string `json:"state"`
}

// ActiveGeneration is the one that may submit; 0 when none.
func (s State) ActiveGeneration() int {
	for _, g := range s.Generations {
		if g.Standing == Active {
			return g.Number
		}
	}
	return 0
}

// Standing of a generation; Retired for one not listed (it was dropped).
func (s State) Standing(generation int) Standing {
	for _, g := range s.Generations {
		if g.Number == generation {
			return g.Standing
		}
	}
	return Retired
}

// Reserve gives the operation a generation number of its own, standing by. A
// repeat gives the same one.
func (s State) Reserve(operation string) (State, int) {
	for _, g := range s.Generations {
		if g.Operation == operation {
			return s, g.Number
		}
	}
	s = s.clone()
	s.Generation++
	s.Generations = append(s.Generations, Generation{Number: s.Generation, Standing: Standby, Operation: operation})
	return s, s.Generation
}

// Place puts the operation's hold; another operation's hold is refused. released
// is State.Released as the operation's plan saw it: a write that arrives after
// its operation is over finds another there.
func (s State) Place(operation, since, released string) (State, error) {
	if s.Hold != nil {
		if s.Hold.Operation == operation {
			return s, nil
		}
		return s, heldBy(s.Hold.Operation)
	}
	if s.Released == operation {
		return s, failure.New(failure.Refused, "operation %s has given its hold up", operation)
	}
	if s.Released != released {
		return s, failure.New(failure.Refused, "operation %s held the Lease since operation %s was planned", s.Released, operation).
			WithNext("start the operation anew")
	}
	s = s.clone()
	s.Hold = &Hold{Operation: operation, Epoch: s.Epoch, Since: since}
	return s, nil
}

// Take puts the operation's hold in the place of one whose operation is over; that
// it is, the caller knows by the job's lock. seen is the Lease as it was looked at
// under that lock: what changed since was a late write, and is refused. What the
// former owes stays on the hold: the epoch at which it was placed, and its stop.
func (s State) Take(operation, since string, seen State) (State, error) {
	if s.Hold != nil && s.Hold.Operation == operation {
		return s, nil
	}
	if s.Hold == nil || seen.Hold == nil || s.Hold.Operation != seen.Hold.Operation || s.Hold.trigger() != seen.Hold.trigger() ||
		s.Epoch != seen.Epoch || s.ActiveGeneration() != seen.ActiveGeneration() {
		return s, failure.New(failure.Refused, "the Lease changed since operation %s was planned: %s then, %s now", operation, seen, s).
			WithNext("start the operation anew")
	}
	s = s.clone()
	s.Hold.Operation, s.Hold.Since, s.Hold.AcknowledgedBy = operation, since, ""
	return s, nil
}

// trigger tells one stop from another; "": none was sent.
func (h *Hold) trigger() string {
	if h.Stop == nil {
		return ""
	}
	return h.Stop.FlinkJobID + "/" + h.Stop.TriggerID
}

// Stopped is the stop or cancel of the present submission that the holder, or one
// before it, has sent; nil: none was.
func (s State) Stopped() *StopSent {
	if s.Hold == nil || s.Hold.Stop == nil || s.Intent == nil || s.Hold.Stop.FlinkJobID != s.Intent.FlinkJobID {
		return nil
	}
	return s.Hold.Stop
}

// Uncommitted says that there was a submission under the hold: what runs by it
// isn't what was committed last.
func (s State) Uncommitted() bool { return s.Hold != nil && s.Epoch > s.Hold.Epoch }

// Owes says that the hold must not simply be given free: nobody would know any
// more that a stop is under way, or that the submission isn't committed.
func (s State) Owes() bool {
	return s.Uncommitted() || s.Stopped() != nil && !s.Intent.Outcome.Over()
}

// Acknowledged notes that the agent in pod saw the hold, with nothing in flight.
func (s State) Acknowledged(operation, pod string) (State, error) {
	if err := s.CheckHolder(operation); err != nil {
		return s, err
	}
	s = s.clone()
	s.Hold.AcknowledgedBy = pod
	return s, nil
}

// Stopping notes a stop before it is sent.
func (s State) Stopping(operation string, stop StopSent) (State, error) {
	if err := s.CheckHolder(operation); err != nil {
		return s, err
	}
	if s.Intent == nil || s.Intent.FlinkJobID != stop.FlinkJobID {
		return s, failure.New(failure.Refused, "the stop names Flink job %s, but the Lease's submission is another", stop.FlinkJobID)
	}
	if s.Hold.Stop != nil && s.Hold.Stop.FlinkJobID == stop.FlinkJobID && s.Intent.Outcome.Over() {
		return s, nil // what the first one left stays
	}
	if sent := s.Hold.Stop; sent != nil && sent.FlinkJobID == stop.FlinkJobID && stop.TriggerID == "" && sent.TriggerID != "" {
		return s, nil // a cancel behind a stop: what that one may still leave is looked for where it said
	}
	s = s.clone()
	s.Hold.Stop = &stop
	return s, nil
}

// Resize notes the size to which the submission is to be brought in place.
func (s State) Resize(operation string, to Size) (State, error) {
	if err := s.CheckHolder(operation); err != nil {
		return s, err
	}
	switch {
	case s.Standing(to.Generation) != Active:
		return s, failure.New(failure.Refused, "generation %d is %s, not active: its job isn't rescaled", to.Generation, s.Standing(to.Generation))
	case s.Intent == nil || s.Intent.FlinkJobID != to.FlinkJobID:
		return s, failure.New(failure.Refused, "the rescale names Flink job %s, but the Lease's submission is another", to.FlinkJobID)
	case s.Size != nil && *s.Size == to:
		return s, nil
	}
	s = s.clone()
	s.Size, s.Profile = &to, to.Profile
	return s, nil
}

// Parallelism is the one in force in a generation; 0: the one it was made with.
func (s State) Parallelism(generation int) int {
	if s.Size == nil || s.Size.Generation != generation {
		return 0
	}
	return s.Size.Parallelism
}

// Move makes a generation the active one and lets the former stand by. The
// last intent must be over: two generations never write at once.
func (s State) Move(operation string, generation int) (State, error) {
	if err := s.CheckHolder(operation); err != nil {
		return s, err
	}
	if s.Standing(generation) == Active {
		return s, nil
	}
	if s.Standing(generation) == Retired {
		return s, failure.New(failure.Refused, "generation %d is retired and never acts again", generation)
	}
	if s.Intent != nil && !s.Intent.Outcome.Over() {
		return s, failure.New(failure.Unproven, "submission %d is %s: its end isn't on the Lease", s.Intent.Epoch, s.Intent.Outcome)
	}
	s = s.clone()
	for i := range s.Generations {
		switch {
		case s.Generations[i].Number == generation:
			s.Generations[i].Standing = Active
		case s.Generations[i].Standing == Active:
			s.Generations[i].Standing = Standby
		}
	}
	return s, nil
}

// Intend notes a submission before its POST. A repeat of the same intent
// changes nothing; an older epoch, another holder or a generation that isn't
// active is refused.
func (s State) Intend(in Intent) (State, error) {
	if err := s.CheckHolder(in.Operation); err != nil {
		return s, err
	}
	if s.Standing(in.Generation) != Active {
		return s, failure.New(failure.Refused, "generation %d is %s, not active: it may not submit", in.Generation, s.Standing(in.Generation))
	}
	if s.Intent != nil && s.Intent.Epoch == in.Epoch {
		if s.Intent.FlinkJobID != in.FlinkJobID || s.Intent.RestorePath != in.RestorePath || s.Intent.Generation != in.Generation {
			return s, failure.New(failure.Refused, "epoch %d is already another submission", in.Epoch)
		}
		if s.Intent.Closing {
			return s, failure.New(failure.Refused, "submission %d is being closed: it isn't wanted any more", in.Epoch)
		}
		return s, nil
	}
	if in.Epoch != s.Epoch+1 {
		return s, failure.New(failure.Refused, "epoch %d is stale: the Lease is at %d", in.Epoch, s.Epoch)
	}
	if s.Intent != nil && !s.Intent.Outcome.Over() {
		return s, failure.New(failure.Unproven, "submission %d is %s: its end isn't on the Lease", s.Intent.Epoch, s.Intent.Outcome)
	}
	s = s.clone()
	s.Origins = s.originsOf(in)
	in.Outcome = Open
	s.Intent = &in
	s.Epoch = in.Epoch
	s.Ended = nil
	return s, nil
}

// originsOf are the origins once in is the intent: nobody looks behind a
// submission without state.
func (s State) originsOf(in Intent) []Origin {
	if s.Intent == nil || in.RestorePath == "" {
		return nil
	}
	all := slices.Concat(s.Origins, []Origin{{s.Intent.Epoch, s.Intent.RestorePath}})
	return all[max(0, len(all)-maxOrigins):]
}

// Origin is what the submission of an epoch was started from, "" for one without
// state; known is false where the Lease doesn't say.
func (s State) Origin(epoch int64) (restorePath string, known bool) {
	if s.Intent != nil && s.Intent.Epoch == epoch {
		return s.Intent.RestorePath, true
	}
	for _, o := range s.Origins {
		if o.Epoch == epoch {
			return o.RestorePath, true
		}
	}
	return "", false
}

// Close notes that the submission of an epoch isn't wanted any more. It is noted
// before anything is done about it.
func (s State) Close(operation string, epoch int64) (State, error) {
	if err := s.CheckHolder(operation); err != nil {
		return s, err
	}
	if s.Intent == nil || s.Intent.Epoch != epoch {
		return s, failure.New(failure.Refused, "epoch %d is not the Lease's submission", epoch)
	}
	if s.Intent.Outcome.Over() || s.Intent.Closing {
		return s, nil
	}
	s = s.clone()
	s.Intent.Closing = true
	return s, nil
}

// Record writes an intent's outcome; savepoint is what the stop on the Lease
// left, if it is known. A terminal outcome is never taken back.
func (s State) Record(epoch int64, outcome Outcome, savepoint string) (State, error) {
	if s.Intent == nil || s.Intent.Epoch != epoch {
		return s, failure.New(failure.Refused, "epoch %d is not the Lease's submission", epoch)
	}
	if s.Intent.Outcome.Over() || s.Intent.Outcome == outcome {
		return s, nil
	}
	s = s.clone()
	s.Intent.Outcome = outcome
	explained := false
	if s.Hold != nil && s.Hold.Stop != nil && s.Hold.Stop.FlinkJobID == s.Intent.FlinkJobID && outcome.Over() {
		s.Hold.Stop.Savepoint = savepoint
		explained = savepoint != ""
	}
	if outcome == Finished && !explained {
		s.Ended = &Ended{Epoch: epoch, State: string(outcome)}
	}
	return s, nil
}

// Release takes the operation's hold away, for good, and sets the profile in
// force. Another's hold is left alone.
func (s State) Release(operation, profile string) (State, error) {
	if s.Released == operation {
		return s, nil
	}
	s = s.clone()
	s.Released = operation
	if s.Hold != nil && s.Hold.Operation == operation {
		s.Hold = nil
		if profile != "" {
			s.Profile = profile
		}
	}
	return s, nil
}

// keepRetired is how many retired generations the Lease still lists, for people.
const keepRetired = 3

// Retire ends a generation for good; an active one can't be retired while its
// submission may run.
func (s State) Retire(generation int) (State, error) {
	if s.Standing(generation) == Active && s.Intent != nil && s.Intent.Generation == generation && !s.Intent.Outcome.Over() {
		return s, failure.New(failure.Refused, "generation %d is active and its submission is %s", generation, s.Intent.Outcome)
	}
	s = s.clone()
	if s.Size != nil && s.Size.Generation == generation {
		s.Size = nil
	}
	retired := 0
	for i := len(s.Generations) - 1; i >= 0; i-- {
		if s.Generations[i].Number == generation {
			s.Generations[i].Standing = Retired
		}
		if s.Generations[i].Standing == Retired {
			if retired++; retired > keepRetired {
				s.Generations = slices.Delete(s.Generations, i, i+1)
			}
		}
	}
	return s, nil
}

// CheckHolder says whether operation holds the Lease.
func (s State) CheckHolder(operation string) error {
	if s.Hold == nil {
		return failure.New(failure.Refused, "operation %s doesn't hold the Lease: nobody does", operation)
	}
	if s.Hold.Operation != operation {
		return heldBy(s.Hold.Operation)
	}
	return nil
}

func heldBy(operation string) error {
	return failure.New(failure.Refused, "the Lease is held by operation %s", operation).
		WithNext("look at that operation: sluice op watch %s", operation)
}

func (s State) clone() State {
	s.Generations = slices.Clone(s.Generations)
	s.Origins = slices.Clone(s.Origins)
	if s.Intent != nil {
		intent := *s.Intent
		s.Intent = &intent
	}
	if s.Hold != nil {
		hold := *s.Hold
		if hold.Stop != nil {
			stop := *hold.Stop
			hold.Stop = &stop
		}
		s.Hold = &hold
	}
	if s.Ended != nil {
		ended := *s.Ended
		s.Ended = &ended
	}
	if s.Size != nil {
		size := *s.Size
		s.Size = &size
	}
	return s
}

// String is one line for logs.
func (s State) String() string {
	hold := "free"
	if s.Hold != nil {
		hold = "held by " + s.Hold.Operation
	}
	return fmt.Sprintf("active g%d of %d, epoch %d, %s", s.ActiveGeneration(), s.Generation, s.Epoch, hold)
}
