package flow

import "go.temporal.io/sdk/workflow"

// Undo is what must be taken back when an operation ends before its point of
// no return. Each entry is pushed before the step that it undoes, is
// idempotent, and runs on a context that a cancel doesn't reach.
type Undo struct{ entries []entry }

type entry struct {
	name string
	run  func(workflow.Context) error
}

// Push adds an entry; the last one runs first.
func (u *Undo) Push(name string, run func(workflow.Context) error) {
	u.entries = append(u.entries, entry{name, run})
}

// Forget drops all entries: from now on the operation goes forward or asks.
func (u *Undo) Forget() { u.entries = nil }

// Run undoes everything, newest first. An entry that fails doesn't keep the
// others from running, and stays for the next Run; the first error is returned.
func (u *Undo) Run(ctx workflow.Context) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var first error
	var failed []entry
	for len(u.entries) > 0 { // an entry may Forget the others
		last := u.entries[len(u.entries)-1]
		u.entries = u.entries[:len(u.entries)-1]
		if err := last.run(ctx); err != nil {
			workflow.GetLogger(ctx).Error("undo failed", "step", last.name, "error", err)
			failed = append([]entry{last}, failed...)
			if first == nil {
				first = err
			}
		}
	}
	u.entries = failed
	return first
}
