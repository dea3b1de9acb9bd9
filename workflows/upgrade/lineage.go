package upgrade

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/lease"
)

// A job's lineage (DESIGN §3): what the submission on the Lease made, then what it
// came from and what that one's submission had made until then, and so on back to
// a submission without state. What a rollback left behind is no part of it.

// lineageIn asks HDFS for what the last submission left, and for the savepoints of
// those before it: the ledger may be of yesterday.
func (r *run) lineageIn(intent *lease.Intent) activities.FindSnapshotIn {
	uid := r.target.Identity.UID
	in := activities.FindSnapshotIn{
		Directory: r.checkpoints(intent.FlinkJobID), Savepoints: r.target.Identity.FS + job.SavepointsDirectory(uid), MadeBy: []string{intent.FlinkJobID},
	}
	for _, origin := range slices.Backward(r.state.Origins) {
		in.MadeBy = append(in.MadeBy, job.FlinkJobID(uid, origin.Epoch))
	}
	return in
}

// Lineage is what is known of it, newest first by (epoch, id). The last one may be
// of epoch 0: where the line comes from, and nobody knows which submission made
// that (a copy, or one from before what the Lease remembers).
func Lineage(f Facts) []job.Snapshot {
	known := snapshots(f)
	var line []job.Snapshot
	for epoch, newest := f.Lease.State.Epoch, int64(math.MaxInt64); ; {
		for _, s := range known {
			if s.Epoch == epoch && s.CheckpointID <= newest {
				line = append(line, s)
			}
		}
		from, _ := f.Lease.State.Origin(epoch)
		if from == "" { // nobody looks behind a start without state
			return line
		}
		origin, listed := find(f, known, from)
		if !listed {
			line = append(line, origin)
		}
		if origin.Epoch <= 0 || origin.Epoch >= epoch {
			return line
		}
		epoch, newest = origin.Epoch, origin.CheckpointID
	}
}

// snapshots are all that the ledger and HDFS tell of, each once, newest first.
// Copies are another job's: their ids say nothing here.
func snapshots(f Facts) []job.Snapshot {
	var all []job.Snapshot
	for _, s := range f.Snapshots {
		if s.Kind != job.Foreign {
			all = append(all, s)
		}
	}
	if f.Checkpoint.Path != "" {
		all = append(all, job.Snapshot{Epoch: f.Lease.State.Epoch, CheckpointID: f.Checkpoint.CheckpointID, Path: f.Checkpoint.Path})
	}
	if f.Left != nil {
		all = append(all, *f.Left)
	}
	if len(f.Checkpoint.Savepoints) > 0 {
		makers := makers(f)
		for _, s := range f.Checkpoint.Savepoints {
			if epoch := makers.of(s.Path); epoch > 0 {
				all = append(all, job.Snapshot{Epoch: epoch, CheckpointID: s.CheckpointID, Path: s.Path})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b job.Snapshot) int {
		return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(b.CheckpointID, a.CheckpointID))
	})
	return slices.CompactFunc(all, func(a, b job.Snapshot) bool { return a.Epoch == b.Epoch && a.CheckpointID == b.CheckpointID })
}

// find says of which submission a restore path is; listed where it is among those
// known.
func find(f Facts, known []job.Snapshot, location string) (found job.Snapshot, listed bool) {
	if at := slices.IndexFunc(known, func(s job.Snapshot) bool { return s.Path == location }); at >= 0 {
		return known[at], true
	}
	found.Path = location
	if maker, id, ok := job.ParseCheckpoint(location); ok {
		for epoch := f.Lease.State.Epoch; epoch > 0; epoch-- {
			if job.FlinkJobID(f.Target.Identity.UID, epoch) == maker {
				found.Epoch, found.CheckpointID = epoch, id
				break
			}
		}
	}
	return found, false
}

// submissions are epochs by how the names of their savepoints begin; 0 where two
// begin alike: whose a savepoint is must be sure.
type submissions map[string]int64

func makers(f Facts) submissions {
	all := submissions{}
	for epoch := f.Lease.State.Epoch; epoch > 0; epoch-- {
		begin := job.MadeBy(job.FlinkJobID(f.Target.Identity.UID, epoch))
		if _, taken := all[begin]; taken {
			all[begin] = 0
			continue
		}
		all[begin] = epoch
	}
	return all
}

func (all submissions) of(savepoint string) int64 {
	name := path.Base(savepoint)
	return all[name[:min(len(name), len(job.MadeBy("000000")))]]
}

// Restore is the snapshot from which a stopped job starts: the newest of its
// lineage (DESIGN §3), or "" where a start without state is right or asked for.
func Restore(f Facts) (string, error) {
	if f.Request.Stateless {
		return "", nil
	}
	state := f.Lease.State
	if state.Ended != nil {
		return "", failure.New(failure.Refused, "the job ended by itself (%s, epoch %d): from a snapshot it would repeat what it published after it", state.Ended.State, state.Ended.Epoch).
			WithNext("to run it again from its beginning, say stateless; a snapshot of its own that you choose knowingly: fromSnapshot (both for admins only)")
	}
	if lost := state.Intent; lost != nil && hadCheckpoint(f) && f.Checkpoint.Path == "" && f.Left == nil {
		// Flink removes those of a job that finishes.
		return "", failure.New(failure.Refused, "submission %d left no checkpoint, though it had made one: it may have finished by itself, and from an older snapshot it would repeat what it published", lost.Epoch).
			WithNext("look at its output; to run it again from its beginning, say stateless; from a snapshot of its own that you choose knowingly: fromSnapshot (both for admins only)").With("checkpoints", job.CheckpointDirectory(f.Target.Identity.UID)+"/"+lost.FlinkJobID)
	}
	if line := Lineage(f); len(line) > 0 && line[0].Epoch == state.Epoch {
		return line[0].Path, nil
	}
	if state.Intent != nil && state.Intent.RestorePath != "" && state.Intent.Outcome != lease.Finished {
		// It published nothing that a snapshot of its own covers.
		return state.Intent.RestorePath, nil
	}
	if f.Target.EverSnapshot || !f.Directory.Empty {
		return "", failure.New(failure.Refused, "no usable snapshot is known, but this job had state: a start without it would lose it").
			WithNext("restore the snapshot on HDFS, or say stateless (admins only) to start empty").With("found", f.Directory.Example)
	}
	return "", nil
}

// hadCheckpoint says whether the last submission, whose end as FINISHED nobody saw,
// had made a checkpoint: it was committed; or a dead operation may have seen one,
// and its end in Flink nobody saw at all.
func hadCheckpoint(f Facts) bool {
	last := f.Lease.State.Intent
	return last.Outcome != lease.Finished && last.Epoch == f.Target.Current.Epoch ||
		last.Outcome == lease.Closed && f.Lease.State.Uncommitted()
}

// own gives the address of a snapshot in the job's own directories, whoever of its
// submissions made it: also on a branch that was left.
func own(identity job.Identity, location string) (string, bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(location, identity.FS), "/")
	name = strings.TrimSuffix(name, "/_metadata")
	for _, root := range []string{job.SavepointsDirectory(identity.UID), job.CheckpointDirectory(identity.UID)} {
		if strings.HasPrefix(name, root+"/") {
			return identity.FS + name, true
		}
	}
	return "", false
}

// planChosen: a person goes back to a snapshot of the job's own. What is left
// behind is stated; it is verified like any other.
func planChosen(f Facts, chosen string, plan *Plan) {
	plan.RestorePath, plan.Restore = chosen, chosen+", chosen by the request"
	line := Lineage(f)
	if len(line) == 0 || line[0].Path == chosen {
		return
	}
	newest := line[0]
	plan.Replay = &Replay{From: chosen, To: newest.Path, Epoch: newest.Epoch, CheckpointID: newest.CheckpointID}
	plan.Restore += ": what was published after it, up to " + newest.Path + " and behind that, is published again"
}

// snapshotUnusable is the word on the newest snapshot of the lineage. An older one
// is a person's choice: what was published after it is published again.
func snapshotUnusable(f Facts, location string, err error) error {
	why := failure.Of(err)
	if why.Retryable() || why.Code == failure.Canceled {
		return why
	}
	refused := failure.New(failure.Refused, "the snapshot to start from is not usable: %s", why.Message).With("snapshot", location)
	line := Lineage(f)
	at := slices.IndexFunc(line, func(s job.Snapshot) bool { return s.Path == location })
	if at < 0 || at+1 == len(line) {
		return refused.WithNext("restore it on HDFS, or say stateless (admins only) to start empty")
	}
	older := line[at+1]
	return refused.With("older", older.Path).
		WithNext("restore it on HDFS; or, admins only: say --from-snapshot %s, the next older one of its lineage (what was published after it is published again), or stateless to start empty", older.Path)
}
