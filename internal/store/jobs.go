package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/uptrace/bun"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// The states of a job.
const (
	New     = "new"
	Running = "running"
	Stopped = "stopped"
)

// Job is a job with its last committed state.
type Job struct {
	bun.BaseModel `bun:"table:jobs,alias:j"`

	UID       string     `bun:"uid,pk"`
	Tenant    string     `bun:"tenant"`
	Name      string     `bun:"name"`
	Site      string     `bun:"site"`
	CreatedAt time.Time  `bun:"created_at"`
	CreatedBy string     `bun:"created_by"`
	DeletedAt *time.Time `bun:"deleted_at"`

	State  State `bun:"-"`
	Newest int   `bun:"-"` // number of the newest revision
}

// Ref is the job's name.
func (j Job) Ref() job.Ref { return job.Ref{Tenant: j.Tenant, Name: j.Name} }

// State is a job's last committed state.
type State struct {
	bun.BaseModel `bun:"table:job_states,alias:s"`

	JobUID   string `bun:"job_uid,pk"`
	Revision int    `bun:"revision"`
	Digest   string `bun:"digest"`
	Profile  string `bun:"profile"`
	// ProfileDigest is the profile's as it was applied; "" before it was recorded.
	ProfileDigest string `bun:"profile_digest"`
	// Applied is that profile; nil before it was recorded.
	Applied    *job.Profile `bun:"profile_spec,type:json,nullzero"`
	State      string       `bun:"state"`
	Epoch      int64        `bun:"epoch"`
	Generation int          `bun:"generation"`
	Operation  string       `bun:"operation"`
	// Withdrawn: revisions up to it were taken back by a rollback. Whoever names no
	// revision means the one in force until a newer one is applied or one of them
	// is named. A commit with 0 keeps it.
	Withdrawn int       `bun:"withdrawn"`
	UpdatedAt time.Time `bun:"updated_at"`
}

// Revision is a job's numbered, immutable body.
type Revision struct {
	bun.BaseModel `bun:"table:revisions,alias:r"`

	JobUID    string    `bun:"job_uid,pk"`
	Number    int       `bun:"number,pk"`
	Digest    string    `bun:"digest"`
	Spec      job.Spec  `bun:"body,type:json"`
	CreatedBy string    `bun:"created_by"`
	CreatedAt time.Time `bun:"created_at"`
	// CommittedAt is when it first ran and was proven; nil: never.
	CommittedAt *time.Time `bun:"committed_at"`
}

// PutResult says what PutJob did.
type PutResult struct {
	Job         Job
	Revision    Revision
	JobCreated  bool
	NewRevision bool
}

// PutJob creates the job when there is none, and a revision when the spec's
// digest differs from the newest one's. A job never changes its site (Conflict).
func (s *Store) PutJob(ctx context.Context, ref job.Ref, site string, spec job.Spec, by string) (PutResult, error) {
	return effect.Do(ctx, effect.WriteRecord, ref.String()+"/"+spec.Digest(), func(ctx context.Context) (PutResult, error) {
		var result PutResult
		put := func() error {
			return s.transact(ctx, func(ctx context.Context, tx bun.Tx) error {
				var err error
				result, err = s.putJob(ctx, tx, ref, site, spec, by)
				return err
			})
		}
		err := put()
		if duplicate(err) { // somebody created the job between our look and our insert
			err = put()
		}
		return result, mapError(err, "job "+ref.String())
	})
}

func (s *Store) putJob(ctx context.Context, tx bun.Tx, ref job.Ref, site string, spec job.Spec, by string) (PutResult, error) {
	var result PutResult
	found, err := liveJob(ctx, tx, ref, true)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		found = Job{UID: newID(), Tenant: ref.Tenant, Name: ref.Name, Site: site, CreatedAt: s.clock(), CreatedBy: by}
		if _, err := tx.NewInsert().Model(&found).Exec(ctx); err != nil {
			return result, err
		}
		result.JobCreated = true
	case err != nil:
		return result, err
	case found.Site != site:
		return result, failure.New(failure.Conflict, "job %s is at site %s and can't move to %s", ref, found.Site, site).
			WithNext("keep site %q, or create a job with another name", found.Site)
	}

	// The row lock on the job makes "newest + 1" safe.
	newest, err := revision(ctx, tx, found.UID, 0)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return result, err
	}
	if newest.Digest != spec.Digest() {
		newest = Revision{JobUID: found.UID, Number: newest.Number + 1, Digest: spec.Digest(), Spec: spec, CreatedBy: by, CreatedAt: s.clock()}
		if _, err := tx.NewInsert().Model(&newest).Exec(ctx); err != nil {
			return result, err
		}
		result.NewRevision = true
	}
	state, err := stateOf(ctx, tx, found.UID, false)
	if err != nil {
		return result, err
	}
	found.State, found.Newest = state, newest.Number
	result.Job, result.Revision = found, newest
	return result, nil
}

// Job finds a live job.
func (s *Store) Job(ctx context.Context, ref job.Ref) (Job, error) {
	found, err := liveJob(ctx, s.db, ref, false)
	if err != nil {
		return Job{}, mapError(err, "job "+ref.String())
	}
	jobs, err := s.complete(ctx, []Job{found})
	if err != nil {
		return Job{}, err
	}
	return jobs[0], nil
}

// Jobs lists a tenant's live jobs by name, after the name given ("" : from the
// first), at most limit.
func (s *Store) Jobs(ctx context.Context, tenant, after string, limit int) ([]Job, error) {
	var jobs []Job
	err := s.db.NewSelect().Model(&jobs).Where("tenant = ?", tenant).Where("live_name IS NOT NULL").
		Where("live_name > ?", after).OrderExpr("live_name").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, mapError(err, "the jobs")
	}
	return s.complete(ctx, jobs)
}

// complete adds states and newest revisions to jobs, in two queries.
func (s *Store) complete(ctx context.Context, jobs []Job) ([]Job, error) {
	if len(jobs) == 0 {
		return jobs, nil
	}
	index := make(map[string]int, len(jobs))
	uids := make([]string, len(jobs))
	for i, j := range jobs {
		index[j.UID], uids[i] = i, j.UID
		jobs[i].State = State{JobUID: j.UID, State: New}
	}
	var states []State
	if err := s.db.NewSelect().Model(&states).Where("job_uid IN (?)", bun.List(uids)).Scan(ctx); err != nil {
		return nil, mapError(err, "the jobs' states")
	}
	for _, state := range states {
		jobs[index[state.JobUID]].State = state
	}
	var newest []struct {
		JobUID string `bun:"job_uid"`
		Number int    `bun:"number"`
	}
	err := s.db.NewSelect().Table("revisions").Column("job_uid").ColumnExpr("MAX(number) AS number").
		Where("job_uid IN (?)", bun.List(uids)).Group("job_uid").Scan(ctx, &newest)
	if err != nil {
		return nil, mapError(err, "the jobs' revisions")
	}
	for _, n := range newest {
		jobs[index[n.JobUID]].Newest = n.Number
	}
	return jobs, nil
}

// Revision reads a revision of a job; number 0 is the newest.
func (s *Store) Revision(ctx context.Context, uid string, number int) (Revision, error) {
	found, err := revision(ctx, s.db, uid, number)
	if errors.Is(err, sql.ErrNoRows) {
		return found, failure.New(failure.NotFound, "the job has no revision %d", number).
			WithNext("list the job's revisions")
	}
	return found, mapError(err, "the revision")
}

// Committed is the newest revision below one that ever ran and was proven.
func (s *Store) Committed(ctx context.Context, uid string, below int) (Revision, error) {
	var found Revision
	err := s.db.NewSelect().Model(&found).Where("job_uid = ?", uid).Where("number < ?", below).Where("committed_at IS NOT NULL").
		OrderExpr("number DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return found, failure.New(failure.NotFound, "no revision older than %d is known to have run", below).
			WithNext("name the one to go back to: --revision N (sluice get revisions lists them)")
	}
	return found, mapError(err, "the revisions")
}

// Revisions lists a job's revisions, newest first, those below the number given
// (0: from the newest), at most limit.
func (s *Store) Revisions(ctx context.Context, uid string, below, limit int) ([]Revision, error) {
	var found []Revision
	query := s.db.NewSelect().Model(&found).Where("job_uid = ?", uid).OrderExpr("number DESC").Limit(int64(limit))
	if below > 0 {
		query = query.Where("number < ?", below)
	}
	return found, mapError(query.Scan(ctx), "the revisions")
}

func liveJob(ctx context.Context, db bun.IDB, ref job.Ref, lock bool) (Job, error) {
	var found Job
	query := db.NewSelect().Model(&found).Where("tenant = ?", ref.Tenant).Where("live_name = ?", ref.Name)
	if lock {
		query = query.For("UPDATE")
	}
	return found, query.Scan(ctx)
}

func revision(ctx context.Context, db bun.IDB, uid string, number int) (Revision, error) {
	var found Revision
	query := db.NewSelect().Model(&found).Where("job_uid = ?", uid)
	if number > 0 {
		query = query.Where("number = ?", number)
	} else {
		query = query.OrderExpr("number DESC").Limit(1)
	}
	return found, query.Scan(ctx)
}

func stateOf(ctx context.Context, db bun.IDB, uid string, lock bool) (State, error) {
	found := State{}
	query := db.NewSelect().Model(&found).Where("job_uid = ?", uid)
	if lock {
		query = query.For("UPDATE")
	}
	err := query.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return State{JobUID: uid, State: New}, nil
	}
	return found, err
}

func newID() string { return ulid.Make().String() }
