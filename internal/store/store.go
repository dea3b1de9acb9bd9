// Package store is the record store: jobs, revisions, profiles, operations with
// their request keys, the ledger of snapshots and the proofs of containers'
// ends, in MySQL's dialect (MariaDB, MySQL).
//
// Writes are idempotent by primary keys. Errors are failures: Unavailable for a
// database that is away, slow or in a deadlock, NotFound, Conflict, Refused.
// It decides nothing about a job and must not talk to Temporal or Kubernetes.
package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"

	"sluice/internal/failure"
)

// sqlMode is strict: a value that doesn't fit is an error, never cut.
const sqlMode = "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION'"

// Options of a Store; the zero value has sensible ones.
type Options struct {
	MaxConnections int              // 0: 20
	Now            func() time.Time // nil: time.Now
}

// Store is the record store. It is safe for concurrent use.
type Store struct {
	sql *sql.DB
	db  *bun.DB
	now func() time.Time
}

// Open makes a Store for a go-sql-driver DSN ("user:password@tcp(host:port)/db").
// What the Store relies on (UTC, parsed times, strict mode, time-outs) is set
// here whatever the DSN says. It does not connect: see Ping and Migrate.
func Open(dsn string, options Options) (*Store, error) {
	config, err := connection(dsn)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the database DSN is not usable")
	}
	if options.MaxConnections == 0 {
		options.MaxConnections = 20
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(options.MaxConnections)
	pool.SetMaxIdleConns(options.MaxConnections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)
	return &Store{sql: pool, db: bun.NewDB(pool, dialect{mysqldialect.New()}), now: options.Now}, nil
}

// dialect leaves out bun's question for the server's version, which would
// connect (and fail) at Open; without it the SQL is what MySQL and MariaDB share.
type dialect struct{ *mysqldialect.Dialect }

// Init does nothing.
func (dialect) Init(*sql.DB) {}

func connection(dsn string) (*mysql.Config, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil { // the driver's error may quote the DSN, which holds a password
		return nil, failure.New(failure.Invalid, "the database DSN is not of the form user:password@tcp(host:port)/database")
	}
	config.ParseTime = true
	config.Loc = time.UTC
	config.ClientFoundRows = true // "matched", not "changed": a repeat counts like the first
	config.RejectReadOnly = true  // after a failover, drop connections to a demoted server
	config.MultiStatements = false
	config.Timeout = or(config.Timeout, 5*time.Second)
	config.ReadTimeout = or(config.ReadTimeout, 30*time.Second)
	config.WriteTimeout = or(config.WriteTimeout, 30*time.Second)
	config.Collation = "utf8mb4_bin"
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	config.Params["sql_mode"] = sqlMode
	config.Params["time_zone"] = "'+00:00'"
	return config, nil
}

func or(value, fallback time.Duration) time.Duration {
	if value > 0 {
		return value
	}
	return fallback
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return mapError(s.sql.PingContext(ctx), "the record store")
}

// Close closes the pool.
func (s *Store) Close() error { return s.db.Close() }

// clock is the time that goes into rows: the database keeps microseconds.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// transactionTries bounds repeats after a deadlock: the database rolled the
// transaction back, so that it may simply run again.
const transactionTries = 5

// transact runs work in one transaction. READ COMMITTED: a read after a row lock
// sees what the lock's former holder committed, and locks leave no gaps locked.
func (s *Store) transact(ctx context.Context, work func(context.Context, bun.Tx) error) error {
	var err error
	for range transactionTries {
		err = s.db.RunInTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, work)
		if !deadlock(err) {
			break
		}
	}
	return err
}
