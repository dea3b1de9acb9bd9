package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
)

// Incident is a job.Incident on record.
type Incident struct {
	bun.BaseModel `bun:"table:incidents,alias:i"`

	ID          string    `bun:"id,pk"`
	JobUID      string    `bun:"job_uid"`
	Generation  int       `bun:"generation"`
	Epoch       int64     `bun:"epoch"`
	ContainerID string    `bun:"container_id"`
	ExitCode    int32     `bun:"exit_code"`
	Reason      string    `bun:"reason"`
	FinishedAt  string    `bun:"finished_at"` // the kubelet's words, RFC 3339
	Kind        string    `bun:"kind"`        // of job.Incident
	HeldBy      string    `bun:"held_by"`     // of a hold: the operation whose it is
	Operation   string    `bun:"operation"`   // that was open and dealt with it; "": none was
	RecordedAt  time.Time `bun:"recorded_at"` // set here
}

// RecordIncident writes an incident; the first one of an id stays.
func (s *Store) RecordIncident(ctx context.Context, incident Incident) error {
	_, err := effect.Do(ctx, effect.WriteRecord, "incident/"+incident.ID, func(ctx context.Context) (struct{}, error) {
		incident.RecordedAt = s.clock()
		_, err := s.db.NewInsert().Model(&incident).On("DUPLICATE KEY UPDATE").Set("id = VALUES(id)").Exec(ctx)
		return struct{}{}, mapError(err, "the incident")
	})
	return err
}

// LastIncident reads the incident of the job's highest epoch; nil when it never
// had one.
func (s *Store) LastIncident(ctx context.Context, uid string) (*Incident, error) {
	var row Incident
	err := s.db.NewSelect().Model(&row).Where("job_uid = ?", uid).OrderExpr("epoch DESC, recorded_at DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &row, mapError(err, "the incidents")
}
