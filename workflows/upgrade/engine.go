package upgrade

import (
	"strconv"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// mustReadState refuses a way back to an engine that can't read what the present
// one writes, before anything is touched: the job would be stopped for a start
// that can only fail.
func mustReadState(f Facts) error {
	running := f.Target.CurrentSpec
	if running == nil {
		return nil
	}
	target := f.Target.Revision.Spec.Engine
	if target.CanRead(running.Engine) {
		return nil
	}
	return unreadable(target, running.Engine.String()+" wrote")
}

// mustReadSnapshot is the same for a start from path. Who wrote it is certain
// only when it is of the epoch that was committed; else its format says more
// (mustReadFormat).
func mustReadSnapshot(f Facts, path string) error {
	intent := f.Lease.State.Intent
	inherited := intent != nil && path == intent.RestorePath // and maybe written by an older engine
	if path == "" || inherited || f.Target.Current.Epoch != f.Lease.State.Epoch {
		return nil
	}
	return mustReadState(f)
}

// mustReadFormat judges a snapshot by the format of its _metadata.
func mustReadFormat(target job.Engine, path string, format int32) error {
	if target.CanReadFormat(format) {
		return nil
	}
	return unreadable(target, "a newer Flink wrote").With("snapshot", path).With("format", strconv.Itoa(int(format)))
}

func unreadable(target job.Engine, what string) *failure.Error {
	return failure.New(failure.Refused, "%s can't restore state that %s: Flink reads the snapshots of its own line and of older ones", target, what).
		WithNext("name a revision with the newer engine; to go back without the state: sluice op stop, then sluice op start --revision N --stateless (admins only)")
}

// movesState says whether the new revision keeps its state in another backend. Only
// a canonical savepoint can be read by another one; checkpoints and native
// savepoints are in the format of the backend that wrote them (FLIP-203).
func movesState(running *job.Spec, target job.Spec) bool {
	return running != nil && running.StateBackend() != target.StateBackend()
}
