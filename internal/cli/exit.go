package cli

import (
	"errors"
	"fmt"

	"sluice/internal/failure"
)

// Exit codes: see about.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInvalid     = 2
	exitRefused     = 3
	exitNotFound    = 4
	exitUnreachable = 5
	exitWaiting     = 6
)

// ended is the end of a command that has shown all there is: an operation that
// was watched and did not commit, a difference.
type ended struct{ code int }

func (e ended) Error() string { return fmt.Sprintf("ended with exit code %d", e.code) }

// trouble is an error of a command whose exit code 1 says something else.
type trouble struct{ error }

func (t trouble) Unwrap() error { return t.error }

func exitCode(err error) int {
	var watched ended
	var known *failure.Error
	var failed trouble
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		return max(exitInvalid, exitCode(failed.error))
	case errors.As(err, &watched):
		return watched.code
	case !errors.As(err, &known): // cobra's: an unknown command or flag
		return exitInvalid
	}
	switch known.Code {
	case failure.Invalid, failure.NoMethod, failure.TooLarge, failure.Digest, failure.Incompatible:
		return exitInvalid
	case failure.Conflict, failure.Busy, failure.Refused, failure.Unproven, failure.Outdated:
		return exitRefused
	case failure.NotFound, failure.Forbidden, failure.Unauthorized:
		return exitNotFound
	case failure.Unavailable, failure.Unknown:
		return exitUnreachable
	default:
		return exitFailed
	}
}

// printError shows a problem with its fields and what to do.
func (a *app) printError(err error) {
	var watched ended
	if errors.As(err, &watched) {
		return
	}
	var known *failure.Error
	if !errors.As(err, &known) {
		_, _ = fmt.Fprintf(a.err, "error: %v\n", err)
		return
	}
	_, _ = fmt.Fprintf(a.err, "error (%s): %s\n", known.Code, clean(known.Message))
	for _, field := range known.Fields {
		_, _ = fmt.Fprintf(a.err, "  %s: %s\n", clean(field.Name), clean(field.Reason))
		if field.Next != "" {
			_, _ = fmt.Fprintf(a.err, "      → %s\n", clean(field.Next))
		}
	}
	if cause := errors.Unwrap(known); cause != nil {
		_, _ = fmt.Fprintf(a.err, "  because: %s\n", clean(cause.Error()))
	}
	if known.Next != "" {
		_, _ = fmt.Fprintf(a.err, "→ %s\n", clean(known.Next))
	}
}
