package store

import (
	"context"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
	"sluice/internal/failure"
)

// Commit writes a job's new current state. A repeat changes nothing. Epoch
// orders (DESIGN §1): an older one, and the return from stopped to running
// within one epoch, are late repeats of something overtaken and Refused.
func (s *Store) Commit(ctx context.Context, state State) error {
	_, err := effect.Do(ctx, effect.WriteRecord, state.Operation+"/commit", func(ctx context.Context) (struct{}, error) {
		err := s.transact(ctx, func(ctx context.Context, tx bun.Tx) error { return s.commit(ctx, tx, state) })
		return struct{}{}, mapError(err, "the job's state")
	})
	return err
}

func (s *Store) commit(ctx context.Context, tx bun.Tx, state State) error {
	// The job's row is the lock: the state's own row may not exist yet.
	var owner Job
	if err := tx.NewSelect().Model(&owner).Where("uid = ?", state.JobUID).For("UPDATE").Scan(ctx); err != nil {
		return mapError(err, "job "+state.JobUID)
	}
	now, err := stateOf(ctx, tx, state.JobUID, true)
	if err != nil {
		return err
	}
	if state.Epoch < now.Epoch || (state.Epoch == now.Epoch && now.State == Stopped && state.State == Running) {
		return failure.New(failure.Refused, "the job is %s at epoch %d by operation %s: %s at epoch %d comes too late",
			now.State, now.Epoch, now.Operation, state.State, state.Epoch)
	}
	if state.Revision > 0 {
		committed, err := revision(ctx, tx, state.JobUID, state.Revision)
		if err != nil {
			return mapError(err, "the revision")
		}
		state.Digest = committed.Digest
	}
	if state.Withdrawn == 0 && state.Revision < now.Withdrawn {
		state.Withdrawn = now.Withdrawn
	}
	state.UpdatedAt = s.clock()
	_, err = tx.NewInsert().Model(&state).On("DUPLICATE KEY UPDATE").
		Set("revision = VALUES(revision)").Set("digest = VALUES(digest)").Set("profile = VALUES(profile)").Set("profile_digest = VALUES(profile_digest)").Set("profile_spec = VALUES(profile_spec)").
		Set("state = VALUES(state)").Set("epoch = VALUES(epoch)").Set("generation = VALUES(generation)").
		Set("operation = VALUES(operation)").Set("withdrawn = VALUES(withdrawn)").Set("updated_at = VALUES(updated_at)").Exec(ctx)
	if err != nil || state.State != Running {
		return err
	}
	_, err = tx.NewUpdate().Model((*Revision)(nil)).Set("committed_at = ?", state.UpdatedAt).
		Where("job_uid = ?", state.JobUID).Where("number = ?", state.Revision).Where("committed_at IS NULL").Exec(ctx)
	return err
}
