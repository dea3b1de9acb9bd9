package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/failure"
)

// MySQL's error numbers (the same in MariaDB).
const (
	duplicateEntry  = 1062
	lockWaitTimeout = 1205
	deadlockFound   = 1213
	dataTooLong     = 1406
)

// passing errors end by themselves or by an operator's hand, not by another
// request: too many connections, access denied, unknown database, shutdown,
// lock wait, deadlock, connection killed, interrupted, read-only server, disk or
// table full, host blocked, packets lost, resource limits.
var passing = []uint16{1021, 1030, 1040, 1044, 1045, 1049, 1053, 1114, 1129, 1158, 1159, 1160, 1161, 1203, 1226, lockWaitTimeout, deadlockFound, 1290, 1317, 1792, 1836, 1927, 3024, 3168}

// mapError turns a driver's error into a failure; what names the thing that was
// looked for or written. SQL text never gets into it.
func mapError(err error, what string) error {
	var known *failure.Error
	var server *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return failure.New(failure.NotFound, "%s does not exist", what)
	case errors.As(err, &server):
		return mapServerError(server, what)
	case disconnected(err):
		return failure.Wrap(failure.Unavailable, err, "the record store can't be reached")
	}
	return failure.Wrap(failure.Internal, err, "%s: the record store failed", what)
}

func mapServerError(err *mysql.MySQLError, what string) error {
	switch {
	case err.Number == duplicateEntry:
		return failure.New(failure.Conflict, "%s exists already", what)
	case err.Number == dataTooLong:
		return failure.New(failure.Invalid, "%s: a value is longer than the record store can hold", what)
	case slices.Contains(passing, err.Number):
		// The message may quote values; the number is enough to look it up.
		return failure.New(failure.Unavailable, "the record store can't serve now (error %d)", err.Number)
	}
	return failure.New(failure.Internal, "%s: the record store refused (error %d)", what, err.Number)
}

func disconnected(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, mysql.ErrPktSync) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &network)
}

func deadlock(err error) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && (server.Number == deadlockFound)
}

func duplicate(err error) bool {
	var server *mysql.MySQLError
	return errors.As(err, &server) && server.Number == duplicateEntry
}
