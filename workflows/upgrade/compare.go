package upgrade

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/workflows/internal/flow"
)

// StateComparison sets the new job graph's operators against the newest
// snapshot's: what Flink would find out at the submission, when the old job is
// stopped already.
type StateComparison struct {
	Snapshot     string       `json:"snapshot,omitempty"`
	CheckpointID int64        `json:"checkpointId,omitempty"`
	Kept         OperatorList `json:"kept,omitzero"`    // their state goes on
	Lost         OperatorList `json:"lost,omitzero"`    // their state has no operator in the new graph
	New          OperatorList `json:"new,omitzero"`     // not in the snapshot: they start empty
	TooWide      OperatorList `json:"tooWide,omitzero"` // parallelism above the one that their state allows
	Unknown      string       `json:"unknown,omitempty"`
}

// OperatorList is some operators; Total counts all.
type OperatorList struct {
	Total     int             `json:"total"`
	Operators []StateOperator `json:"operators,omitempty"`
}

// maxShown bounds each list; Total says how many there are.
const maxShown = 50

func (l *OperatorList) add(o StateOperator) {
	l.Total++
	if len(l.Operators) < maxShown {
		l.Operators = append(l.Operators, o)
	}
}

// StateOperator is one operator of a comparison.
type StateOperator struct {
	ID             string `json:"id"`
	UID            string `json:"uid,omitempty"` // where the snapshot stores it: from Flink 2 on
	Name           string `json:"name,omitempty"`
	Parallelism    int    `json:"parallelism,omitempty"`    // of the new graph; of the snapshot where it is lost
	MaxParallelism int    `json:"maxParallelism,omitempty"` // of the snapshot
	Bytes          int64  `json:"bytes,omitempty"`          // of its state, as the snapshot says
}

// String names the operator by the most telling that is known.
func (o StateOperator) String() string {
	switch {
	case o.Name != "" && o.UID != "":
		return fmt.Sprintf("%q (uid %q, id %s)", o.Name, o.UID, o.ID)
	case o.UID != "":
		return fmt.Sprintf("uid %q (id %s)", o.UID, o.ID)
	case o.Name != "":
		return fmt.Sprintf("%q (id %s)", o.Name, o.ID)
	}
	return o.ID
}

// Compare is Flink's own rule (Checkpoints.loadAndValidateCheckpoint,
// StateAssignmentOperation.checkParallelismPreconditions), applied before the
// stop. running are the heads of what runs: names, where the snapshot has none.
func Compare(graph []agentapi.Operator, stored activities.ReadStateOut, running []agentapi.Vertex) StateComparison {
	c := StateComparison{Snapshot: stored.Path, CheckpointID: stored.CheckpointID}
	inGraph := map[string]agentapi.Operator{}
	for _, o := range graph {
		inGraph[o.ID] = o
	}
	ran := map[string]string{}
	for _, v := range running {
		ran[v.ID] = v.Name
	}
	inSnapshot := map[string]bool{}
	for _, s := range stored.Operators {
		inSnapshot[s.ID] = true
		o := StateOperator{ID: s.ID, UID: s.UID, Name: s.Name, Parallelism: s.Parallelism, MaxParallelism: s.MaxParallelism, Bytes: s.Bytes}
		if o.Name == "" {
			o.Name = ran[s.ID]
		}
		now, kept := inGraph[s.ID]
		if kept {
			o.Parallelism = now.Parallelism
			if now.Name != "" {
				o.Name = now.Name
			}
		}
		switch {
		case kept && s.Bound && now.Parallelism > s.MaxParallelism:
			c.TooWide.add(o)
		case !s.State:
		case kept:
			c.Kept.add(o)
		default:
			c.Lost.add(o)
		}
	}
	for _, o := range graph {
		if !inSnapshot[o.ID] && stored.Omitted == 0 {
			c.New.add(StateOperator{ID: o.ID, Name: o.Name, Parallelism: o.Parallelism})
		}
	}
	if stored.OmittedState > 0 {
		c.Unknown = fmt.Sprintf("%d operators with state are too many to be compared: the %d with most state were", stored.OmittedState+len(stored.Operators), len(stored.Operators))
	}
	return c
}

// Refusal is why an operation that restores this state must not go on; nil when
// it may. Losing state takes the request's word.
func (c StateComparison) Refusal(allowLoss bool) error {
	if c.TooWide.Total > 0 {
		first := c.TooWide.Operators[0]
		return failure.New(failure.Incompatible, "the state of %s can't be spread so far: %s has parallelism %d, its state was written for at most %d",
			count(c.TooWide.Total), first, first.Parallelism, first.MaxParallelism).
			WithNext("use a profile or revision with parallelism %d or less; the maximum can't be changed without losing the state", first.MaxParallelism).
			With("tooWide", names(c.TooWide)).With("snapshot", c.Snapshot)
	}
	if c.Lost.Total > 0 && !allowLoss {
		return failure.New(failure.Incompatible, "the state of %s would be lost: the new job graph has no operator for %s", count(c.Lost.Total), names(c.Lost)).
			WithNext("give the operators the uids that they had (an id is the murmur3_128 hash of the uid); where the state may go, say allowStateLoss (admins only)").
			With("lost", names(c.Lost)).With("snapshot", c.Snapshot)
	}
	return nil
}

func count(n int) string {
	if n == 1 {
		return "1 operator"
	}
	return fmt.Sprintf("%d operators", n)
}

// names lists a few operators.
func names(l OperatorList) string {
	const few = 5
	var all []string
	for _, o := range l.Operators[:min(few, len(l.Operators))] {
		all = append(all, o.String())
	}
	text := strings.Join(all, ", ")
	if l.Total > few {
		text += fmt.Sprintf(" and %d more", l.Total-few)
	}
	return text
}

// summary is a step's line: 3 operators keep their state, 1 new.
func (c StateComparison) summary() string {
	if c.Snapshot == "" {
		return c.Unknown
	}
	parts := []string{fmt.Sprintf("state of %s kept", count(c.Kept.Total))}
	for _, p := range []struct {
		list OperatorList
		word string
	}{{c.Lost, "lost"}, {c.TooWide, "too wide"}, {c.New, "new"}} {
		if p.list.Total > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.list.Total, p.word))
		}
	}
	if c.Unknown != "" {
		parts = append(parts, c.Unknown)
	}
	return strings.Join(parts, ", ")
}

// story is the comparison in the details that Temporal's UI shows.
func (c *StateComparison) story() string {
	if c == nil || c.Lost.Total+c.TooWide.Total+c.New.Total == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "State, against `%s`:\n\n", c.Snapshot)
	for _, p := range []struct {
		list OperatorList
		word string
	}{{c.Lost, "**lost**"}, {c.TooWide, "**too wide**"}, {c.New, "starts empty"}} {
		if p.list.Total > 0 {
			fmt.Fprintf(&b, "- %s: %s\n", p.word, plain(names(p.list)))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// plain keeps the job's words from ending a line or starting markup.
func plain(text string) string {
	return strings.NewReplacer("`", "'", "\n", " ", "\r", " ", "*", "∗", "<", "‹", ">", "›").Replace(text)
}

// heads are the vertices of the job graph that runs, each named by its chain's
// first operator; nil where nothing runs.
type heads []agentapi.Vertex

// compares says whether the operation restores state that can be compared with
// the new job graph. The version keeps operations that began before there was a
// comparison as they are.
func (r *run) compares(ctx workflow.Context) bool {
	if !r.in.Request.Kind.Replaces() && r.restore == "" {
		return false
	}
	return workflow.GetVersion(ctx, "compare-state", workflow.DefaultVersion, 1) == 1
}

// compare is the second part of the plan: anything wrong here ends the operation
// with the old job untouched, or brings that back where nothing could be checked
// before the stop.
func (r *run) compare(ctx workflow.Context, prepared agentapi.PrepareOut) error {
	if !r.compares(ctx) {
		return nil
	}
	return r.step(ctx, "compare", "the operators in the newest snapshot", func() (string, error) {
		c, err := r.comparison(ctx, prepared)
		if err != nil {
			return "", err
		}
		r.progress.Plan.State = &c
		return c.summary(), c.Refusal(r.in.Request.AllowStateLoss)
	})
}

func (r *run) comparison(ctx workflow.Context, prepared agentapi.PrepareOut) (StateComparison, error) {
	if len(prepared.Operators) == 0 {
		why := prepared.OperatorsUnknown
		if why == "" {
			why = "the agent doesn't list operators"
		}
		return StateComparison{Unknown: "not compared: " + why}, nil
	}
	in := activities.ReadStateIn{Path: r.restore}
	if intent := r.state.Intent; r.in.Request.Kind.Replaces() && intent != nil && !r.unchecked { // else the snapshot is there already
		in = activities.ReadStateIn{Directory: r.checkpoints(intent.FlinkJobID), Path: intent.RestorePath}
	}
	stored, err := flow.Do(ctx, r.queue, activities.ReadState, in, "which operators have state in the newest snapshot?")
	switch {
	case failure.CodeOf(err) == failure.Incompatible: // Flink may read what we can't
		return StateComparison{Unknown: "not compared: " + failure.Of(err).Message}, nil
	case err != nil:
		return StateComparison{}, err
	case stored.Path == "":
		return StateComparison{Unknown: "there is no snapshot to compare with yet"}, nil
	}
	return Compare(prepared.Operators, stored, r.ran), nil
}
