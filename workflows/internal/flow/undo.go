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
	for i := len(u.entries) - 1; i >= 0; i-- {
		if err := u.entries[i].run(ctx); err != nil {
			workflow.GetLogger(ctx).Error("undo failed", "step", u.entries[i].name, "error", err)
			failed = append([]entry{u.entries[i]}, failed...)
			if first == nil {
				first = err
			}
		}
	}
	u.entries = failed
	return first
}
