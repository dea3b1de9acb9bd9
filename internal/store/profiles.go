package store

import (
	"context"
	"database/sql"
	"errors"
	"sort"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// Profile is a tenant's named size.
type Profile struct {
	bun.BaseModel `bun:"table:profiles,alias:p"`

	Tenant    string      `bun:"tenant,pk"`
	Name      string      `bun:"name,pk"`
	Body      job.Profile `bun:"body,type:json"`
	UpdatedBy string      `bun:"updated_by"`
	UpdatedAt time.Time   `bun:"updated_at"`
	BuiltIn   bool        `bun:"-"` // the default, written by nobody
}

// PutProfile writes a profile; created says that there was none.
func (s *Store) PutProfile(ctx context.Context, tenant string, body job.Profile, by string) (created bool, err error) {
	return effect.Do(ctx, effect.WriteRecord, tenant+"/profile/"+body.Name, func(ctx context.Context) (bool, error) {
		created := false
		err := s.transact(ctx, func(ctx context.Context, tx bun.Tx) error {
			var old Profile
			err := tx.NewSelect().Model(&old).Where("tenant = ?", tenant).Where("name = ?", body.Name).For("UPDATE").Scan(ctx)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			created = err != nil
			row := Profile{Tenant: tenant, Name: body.Name, Body: body, UpdatedBy: by, UpdatedAt: s.clock()}
			_, err = tx.NewInsert().Model(&row).On("DUPLICATE KEY UPDATE").
				Set("body = VALUES(body)").Set("updated_by = VALUES(updated_by)").Set("updated_at = VALUES(updated_at)").Exec(ctx)
			return err
		})
		return created, mapError(err, "profile "+body.Name)
	})
}

// Profile reads a profile; a tenant without one named "ordinary" has the built-in.
func (s *Store) Profile(ctx context.Context, tenant, name string) (Profile, error) {
	var found Profile
	err := s.db.NewSelect().Model(&found).Where("tenant = ?", tenant).Where("name = ?", name).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		if name == job.OrdinaryProfile {
			return builtIn(tenant), nil
		}
		return found, failure.New(failure.NotFound, "tenant %s has no profile %q", tenant, name).WithNext("list the tenant's profiles, or PUT this one")
	}
	return found, mapError(err, "profile "+name)
}

// Profiles lists a tenant's profiles by name, the built-in included.
func (s *Store) Profiles(ctx context.Context, tenant string) ([]Profile, error) {
	var found []Profile
	if err := s.db.NewSelect().Model(&found).Where("tenant = ?", tenant).OrderExpr("name").Scan(ctx); err != nil {
		return nil, mapError(err, "the profiles")
	}
	for _, profile := range found {
		if profile.Name == job.OrdinaryProfile {
			return found, nil
		}
	}
	found = append(found, builtIn(tenant))
	sort.Slice(found, func(a, b int) bool { return found[a].Name < found[b].Name })
	return found, nil
}

func builtIn(tenant string) Profile {
	return Profile{Tenant: tenant, Name: job.OrdinaryProfile, Body: job.DefaultProfile(), BuiltIn: true}
}
