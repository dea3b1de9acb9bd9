// Package ontemporal converts failures to and from Temporal's errors, at the
// edge only: worker's interceptor on the way out of an activity, flow.Do on the
// way into a workflow. The outermost error must be the ApplicationError:
// Temporal retries a wrapped non-retryable error.
package ontemporal

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"sluice/internal/failure"
)

// Error makes the ApplicationError of err. Its type is the failure's code, its
// detail the failure without its cause (causes may hold hosts, never secrets;
// they go to the log).
func Error(err error) error {
	if err == nil {
		return nil
	}
	var application *temporal.ApplicationError
	if errors.As(err, &application) && application == err { //nolint:errorlint // the outermost one is meant
		return err
	}
	return Again(failure.Of(err), false)
}

// Again is Error for a failure that is retried also if its code alone wouldn't be.
func Again(f *failure.Error, retry bool) error {
	detail := *f
	return temporal.NewApplicationErrorWithOptions(f.Error(), string(f.Code), temporal.ApplicationErrorOptions{
		NonRetryable: !retry && !f.Retryable(),
		Cause:        errors.Unwrap(f),
		Details:      []any{detail},
	})
}

// Failure makes the failure of an error that a workflow got. A time-out is
// Unknown: the call may have worked.
func Failure(err error) *failure.Error {
	if err == nil {
		return nil
	}
	var own *failure.Error
	if errors.As(err, &own) {
		return own
	}
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		var f failure.Error
		if application.HasDetails() && application.Details(&f) == nil && f.Code != "" {
			return &f
		}
		return failure.New(failure.Code(application.Type()), "%s", application.Message())
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		message := fmt.Sprintf("no answer in time (%s)", timeout.TimeoutType())
		if cause := errors.Unwrap(timeout); cause != nil {
			message += ": " + Failure(cause).Message
		}
		return failure.New(failure.Unknown, "%s", message).WithNext("look at what the step waited for; retry asks again with the same id")
	}
	var canceled *temporal.CanceledError
	if errors.As(err, &canceled) {
		return failure.New(failure.Canceled, "canceled")
	}
	return failure.Wrap(failure.Internal, err, "unexpected error")
}
