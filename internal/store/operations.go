package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// KeyLife is how long a request key is remembered.
const KeyLife = 7 * 24 * time.Hour

// Operation is an operation's row: the request key, who claimed it, its end.
type Operation struct {
	bun.BaseModel `bun:"table:operations,alias:o"`

	ID             string          `bun:"id,pk"`
	JobUID         string          `bun:"job_uid"`
	Tenant         string          `bun:"tenant"`
	Job            string          `bun:"job"`
	Kind           job.Kind        `bun:"kind"`
	Request        job.Request     `bun:"request,type:json"`
	IdempotencyKey *string         `bun:"idempotency_key"`
	BodyDigest     string          `bun:"body_digest"`
	RunID          *string         `bun:"run_id"`
	Phase          job.Phase       `bun:"phase"`
	Result         json.RawMessage `bun:"result,type:longblob"`
	CreatedBy      string          `bun:"created_by"`
	CreatedAt      time.Time       `bun:"created_at"`
	EndedAt        *time.Time      `bun:"ended_at"`
}

// Ref is the operation's job.
func (o Operation) Ref() job.Ref { return job.Ref{Tenant: o.Tenant, Name: o.Job} }

// Run is the id of the run that claimed the operation; "" when none did.
func (o Operation) Run() string {
	if o.RunID == nil {
		return ""
	}
	return *o.RunID
}

// NewOperation is what InsertOperation needs.
type NewOperation struct {
	JobUID  string
	Job     job.Ref
	Request job.Request
	Key     string // the client's Idempotency-Key or the server's
	By      string
}

// InsertOperation writes an operation's row under its request key before
// anything is started. A repeat (same key, same body) returns the row that is
// there, repeat true; another body under the key is Invalid.
func (s *Store) InsertOperation(ctx context.Context, in NewOperation) (row Operation, repeat bool, err error) {
	digest, err := requestDigest(in)
	if err != nil {
		return Operation{}, false, failure.Wrap(failure.Internal, err, "the request's digest")
	}
	fresh := Operation{
		ID: newID(), JobUID: in.JobUID, Tenant: in.Job.Tenant, Job: in.Job.Name, Kind: in.Request.Kind, Request: in.Request,
		IdempotencyKey: &in.Key, BodyDigest: digest, Phase: job.Planning, CreatedBy: in.By, CreatedAt: s.clock(),
	}
	_, err = effect.Do(ctx, effect.WriteRecord, in.Job.Tenant+"/key/"+in.Key, func(ctx context.Context) (struct{}, error) {
		// A key is free again when its life is over; its operation stays.
		_, err := s.db.NewUpdate().Model((*Operation)(nil)).Set("idempotency_key = NULL").
			Where("tenant = ?", in.Job.Tenant).Where("idempotency_key = ?", in.Key).
			Where("created_at < ?", s.clock().Add(-KeyLife)).Exec(ctx)
		if err != nil {
			return struct{}{}, err
		}
		_, err = s.db.NewInsert().Model(&fresh).Exec(ctx)
		return struct{}{}, err
	})
	if err == nil {
		return fresh, false, nil
	}
	if !duplicate(err) {
		return Operation{}, false, mapError(err, "the operation")
	}
	err = s.db.NewSelect().Model(&row).Where("tenant = ?", in.Job.Tenant).Where("idempotency_key = ?", in.Key).Scan(ctx)
	if err != nil {
		return Operation{}, false, mapError(err, "the request key")
	}
	if row.BodyDigest != digest {
		return Operation{}, false, failure.New(failure.Invalid, "this Idempotency-Key was used for another request").
			With("operation", row.ID).WithFields(failure.Field{Name: "Idempotency-Key", Reason: "belongs to operation " + row.ID + ", whose job or body differs"}).
			WithNext("send a new Idempotency-Key for a new request")
	}
	return row, true, nil
}

// requestDigest covers all that makes two requests the same: the job, not only
// its name, and the body.
func requestDigest(in NewOperation) (string, error) {
	data, err := json.Marshal(struct {
		UID     string
		Job     job.Ref
		Request job.Request
	}{in.JobUID, in.Job, in.Request})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Claim sets the run id of an operation's row where it is null or its own and
// returns who holds it.
func (s *Store) Claim(ctx context.Context, operation, runID string) (holder string, err error) {
	return effect.Do(ctx, effect.WriteRecord, operation+"/claim/"+runID, func(ctx context.Context) (string, error) {
		_, err := s.db.NewUpdate().Model((*Operation)(nil)).Set("run_id = ?", runID).
			Where("id = ?", operation).Where("run_id IS NULL OR run_id = ?", runID).Exec(ctx)
		if err != nil {
			return "", mapError(err, "operation "+operation)
		}
		row, err := s.operation(ctx, operation)
		return row.Run(), err
	})
}

// Discard removes a row that nobody claimed and nobody can ask for again: the
// server made its key and told nobody, and the job was busy.
func (s *Store) Discard(ctx context.Context, operation string) error {
	_, err := s.db.NewDelete().Model((*Operation)(nil)).Where("id = ?", operation).Where("run_id IS NULL").Exec(ctx)
	return mapError(err, "operation "+operation)
}

// Finish writes an operation's final phase and result. The first end stays: a
// late repeat with another phase is Refused.
func (s *Store) Finish(ctx context.Context, operation string, phase job.Phase, result []byte) error {
	_, err := effect.Do(ctx, effect.WriteRecord, operation+"/finish", func(ctx context.Context) (struct{}, error) {
		updated, err := s.db.NewUpdate().Model((*Operation)(nil)).
			Set("phase = ?", phase).Set("result = ?", result).Set("ended_at = COALESCE(ended_at, ?)", s.clock()).
			Where("id = ?", operation).Where("ended_at IS NULL OR phase = ?", phase).Exec(ctx)
		if err != nil {
			return struct{}{}, mapError(err, "operation "+operation)
		}
		if matched, err := updated.RowsAffected(); err == nil && matched > 0 {
			return struct{}{}, nil
		}
		row, err := s.operation(ctx, operation)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, failure.New(failure.Refused, "operation %s has already ended as %s", operation, row.Phase)
	})
	return err
}

// Operation reads a tenant's operation.
func (s *Store) Operation(ctx context.Context, tenant, id string) (Operation, error) {
	row, err := s.operation(ctx, id)
	if err == nil && row.Tenant != tenant {
		return Operation{}, failure.New(failure.NotFound, "operation %s does not exist", id)
	}
	return row, err
}

func (s *Store) operation(ctx context.Context, id string) (Operation, error) {
	var row Operation
	err := s.db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, failure.New(failure.NotFound, "operation %s does not exist", id).WithNext("list the tenant's operations")
	}
	return row, mapError(err, "operation "+id)
}

// OperationFilter selects operations.
type OperationFilter struct {
	Tenant string
	JobUID string // "": of all jobs
	Before string // only ids below it; "": from the newest
	Limit  int
}

// Operations lists claimed operations, newest first, without their results.
func (s *Store) Operations(ctx context.Context, filter OperationFilter) ([]Operation, error) {
	var rows []Operation
	query := s.db.NewSelect().Model(&rows).ExcludeColumn("result").
		Where("tenant = ?", filter.Tenant).Where("run_id IS NOT NULL").OrderExpr("id DESC").Limit(int64(filter.Limit))
	if filter.JobUID != "" {
		query = query.Where("job_uid = ?", filter.JobUID)
	}
	if filter.Before != "" {
		query = query.Where("id < ?", filter.Before)
	}
	return rows, mapError(query.Scan(ctx), "the operations")
}

// CommittedResults are the results of a job's last committed operations, newest
// first: what the next one will take is foreseen from them.
func (s *Store) CommittedResults(ctx context.Context, jobUID string) ([][]byte, error) {
	const most = 10
	var rows []Operation
	err := s.db.NewSelect().Model(&rows).Column("result").Where("job_uid = ?", jobUID).Where("phase = ?", job.Committed).
		Where("result IS NOT NULL").OrderExpr("id DESC").Limit(most).Scan(ctx)
	results := make([][]byte, len(rows))
	for i, row := range rows {
		results[i] = row.Result
	}
	return results, mapError(err, "the job's last operations")
}
