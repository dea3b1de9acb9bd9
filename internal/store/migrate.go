package store

import (
	"context"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"

	"sluice/internal/failure"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock keeps processes that start together from migrating together:
// MySQL commits DDL at once, so two runs would trip over each other.
const migrationLock = "sluice.migrate"

// Migrate brings the schema to this program's version. Several processes may
// call it at the same time; a newer schema than ours is left alone (the older
// release still runs on it: expand before contract).
func (s *Store) Migrate(ctx context.Context) error {
	connection, err := s.sql.Conn(ctx)
	if err != nil {
		return mapError(err, "the record store")
	}
	defer func() { _ = connection.Close() }()

	var got int
	if err := connection.QueryRowContext(ctx, "SELECT GET_LOCK(?, 20)", migrationLock).Scan(&got); err != nil {
		return mapError(err, "the migration lock")
	}
	if got != 1 {
		return failure.New(failure.Unavailable, "another process is migrating the record store")
	}
	// The lock goes with the connection; releasing it lets the pool keep both.
	defer func() {
		_, _ = connection.ExecContext(context.WithoutCancel(ctx), "SELECT RELEASE_LOCK(?)", migrationLock)
	}()

	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return failure.Wrap(failure.Internal, err, "migrations")
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, s.sql, files,
		goose.WithAllowOutofOrder(true)) // two releases' migrations may meet: each stands alone
	if err != nil {
		return mapError(err, "the migrations")
	}
	if _, err := provider.Up(ctx); err != nil {
		return mapError(err, "the schema")
	}
	return nil
}
