package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
	"sluice/internal/job"
)

// The states of a snapshot.
const (
	Complete = "complete"
	Gone     = "gone"
)

// Snapshot is a row of the ledger: an index, HDFS is the truth.
type Snapshot struct {
	bun.BaseModel `bun:"table:snapshots,alias:l"`

	JobUID       string    `bun:"job_uid,pk"`
	Path         string    `bun:"path,pk"`
	Epoch        int64     `bun:"epoch"`
	CheckpointID int64     `bun:"checkpoint_id"`
	Kind         string    `bun:"kind"`
	Operation    string    `bun:"operation"`
	Revision     int       `bun:"revision"`
	Engine       string    `bun:"engine"` // "flink 1.20.5"
	State        string    `bun:"state"`
	CreatedAt    time.Time `bun:"created_at"`
}

// Domain is the snapshot in the domain's words.
func (s Snapshot) Domain() job.Snapshot {
	return job.Snapshot{Epoch: s.Epoch, CheckpointID: s.CheckpointID, Path: s.Path, Kind: s.Kind, Operation: s.Operation}
}

// RecordSnapshot adds a verified snapshot; a repeat is harmless and brings one
// that was thought gone back.
func (s *Store) RecordSnapshot(ctx context.Context, row Snapshot) error {
	_, err := effect.Do(ctx, effect.WriteRecord, row.JobUID+row.Path, func(ctx context.Context) (struct{}, error) {
		row.State, row.CreatedAt = Complete, s.clock()
		_, err := s.db.NewInsert().Model(&row).On("DUPLICATE KEY UPDATE").Set("state = VALUES(state)").Exec(ctx)
		return struct{}{}, mapError(err, "the snapshot")
	})
	return err
}

// MarkGone notes that a snapshot's files are gone; the row stays, because "this
// job once had state" must never be forgotten.
func (s *Store) MarkGone(ctx context.Context, uid, path string) error {
	_, err := effect.Do(ctx, effect.WriteRecord, uid+path, func(ctx context.Context) (struct{}, error) {
		_, err := s.db.NewUpdate().Model((*Snapshot)(nil)).Set("state = ?", Gone).
			Where("job_uid = ?", uid).Where("path = ?", path).Exec(ctx)
		return struct{}{}, mapError(err, "the snapshot")
	})
	return err
}

// Snapshots lists the ledger of a job, newest first by (epoch, id); those gone
// only when asked for.
func (s *Store) Snapshots(ctx context.Context, uid string, gone bool) ([]Snapshot, error) {
	var rows []Snapshot
	query := s.db.NewSelect().Model(&rows).Where("job_uid = ?", uid).OrderExpr("epoch DESC, checkpoint_id DESC, path DESC")
	if !gone {
		query = query.Where("state = ?", Complete)
	}
	return rows, mapError(query.Scan(ctx), "the snapshots")
}

// EverSnapshot says whether the job has or had a snapshot, gone ones included.
func (s *Store) EverSnapshot(ctx context.Context, uid string) (bool, error) {
	ever, err := s.db.NewSelect().Model((*Snapshot)(nil)).Where("job_uid = ?", uid).Exists(ctx)
	return ever, mapError(err, "the snapshots")
}
