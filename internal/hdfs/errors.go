package hdfs

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
)

// answered says whether err is the NameNode's answer (or none): the connection
// is in order and the call's outcome known.
func answered(err error) bool {
	var remote colinmarc.Error
	switch {
	case err == nil,
		errors.As(err, &remote),
		errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrPermission),
		errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, os.ErrInvalid),
		errors.Is(err, colinmarc.ErrReplicating):
		return true
	}
	return false
}

// neverSent says that no NameNode was connected when the call was to be made.
// The library says so by text only.
func neverSent(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no available namenodes")
}

// retriable are the exceptions by which a NameNode says "not now".
var retriable = []string{"SafeModeException", "StandbyException", "RetriableException", "ObserverRetryOnActiveException", "LeaseExpiredException"}

// translate gives an error its code; name is the path or thing that was asked for.
func translate(err error, name string) error {
	var known *failure.Error
	var remote colinmarc.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return failure.Wrap(failure.NotFound, err, "%s does not exist on HDFS", name)
	case errors.Is(err, fs.ErrPermission):
		return failure.Wrap(failure.Forbidden, err, "HDFS does not allow it for %s", name).
			WithNext("check owner, group and mode of %s and the groups of the platform's user", name)
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTEMPTY):
		return failure.Wrap(failure.Conflict, err, "%s exists already on HDFS", name)
	case errors.Is(err, os.ErrInvalid):
		return failure.Wrap(failure.Invalid, err, "HDFS refuses the path %s", name)
	case !errors.As(err, &remote):
		return failure.Wrap(failure.Unavailable, err, "HDFS did not answer for %s", name)
	}
	exception := remote.Exception()
	for _, suffix := range retriable {
		if strings.HasSuffix(exception, suffix) {
			return failure.Wrap(failure.Unavailable, err, "HDFS is not ready (%s)", suffix).With("exception", firstLine(remote.Message()))
		}
	}
	if strings.HasSuffix(exception, "QuotaExceededException") {
		return failure.Wrap(failure.Refused, err, "the HDFS quota is used up for %s", name).With("exception", firstLine(remote.Message())).
			WithNext("free space below the directory or raise its quota")
	}
	// What else a NameNode throws (no DataNode to place a block on, …) may pass.
	return failure.Wrap(failure.Unavailable, err, "HDFS answered with an error for %s", name).With("exception", firstLine(remote.Message()))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > 500 {
		line = line[:500]
	}
	return line
}
