package flink

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// AnswerError is a refusal in Flink's own words; it is in the chain of the failures
// that are proven answers.
type AnswerError struct {
	Status int
	Text   string // messages and stack traces
}

// Error is the status and the root cause.
func (a *AnswerError) Error() string { return fmt.Sprintf("HTTP %d: %s", a.Status, RootCause(a.Text)) }

func answerOf(status int, data []byte) *AnswerError {
	var body struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(data, &body) == nil && len(body.Errors) > 0 {
		return &AnswerError{Status: status, Text: strings.Join(body.Errors, "\n")}
	}
	return &AnswerError{Status: status, Text: string(data[:min(len(data), 2000)])}
}

func (a *AnswerError) has(words ...string) bool {
	for _, word := range words {
		if strings.Contains(a.Text, word) {
			return true
		}
	}
	return false
}

// ownTimeout is a time-out of the JVM, of Pekko (Akka before Flink 1.18) or of
// Flink itself, by the whole name of its class: libraries have exceptions of the
// same name, Kafka's connector even below org.apache.flink.kafka.shaded.
var ownTimeout = regexp.MustCompile(`(?:^|[^\w.$])(?:java|akka|org\.apache\.pekko|org\.apache\.flink\.(?:runtime|util|client))\.[\w.$]*TimeoutException\b`)

// gaveUp says that Flink itself ran out of time or has no leader.
func (a *AnswerError) gaveUp() bool {
	return ownTimeout.MatchString(a.Text) || a.has("LeaderElection", "leader election") || a.Status == http.StatusServiceUnavailable
}

// programFailed says that the user's program failed by itself, not by the
// submission that main's execute() makes within /run: where that fails, Flink says
// "Failed to execute job", and its time-out names the Dispatcher's method, also if
// main threw the first away. /plan (a read) submits nothing.
func (a *AnswerError) programFailed(kind kind) bool {
	submitting := kind == effect && a.has("Failed to execute job '", "DispatcherGateway.")
	return a.has("ProgramInvocationException") && !submitting
}

// judge turns Flink's refusal into a failure. Flink answers HTTP 500 as well for
// a main that threw as for its own time-outs: only the text tells.
func judge(kind kind, a *AnswerError, request *http.Request) error {
	what := request.Method + " " + request.URL.Path
	switch {
	case a.has("DuplicateJobSubmissionException", "DuplicateApplicationSubmissionException"):
		return failure.Wrap(failure.Conflict, a, "Flink has a job of this id already")
	case a.gaveUp() && !a.programFailed(kind):
		if kind == effect {
			return failure.Wrap(failure.Unknown, a, "the JobManager gave up on %s", what)
		}
		return failure.Wrap(failure.Unavailable, a, "the JobManager is not ready for %s", what)
	case a.has("JobInitializationException", "JobExecutionException", "Could not start the JobMaster"):
		return failure.Wrap(failure.JobFailed, a, "Flink could not start the job: %s", RootCause(a.Text))
	case a.has("ProgramInvocationException", "ProgramMissingJobException", "JobSubmissionException"),
		a.has("InvalidProgramException", "ValidationException"):
		return failure.Wrap(failure.Incompatible, a, "the program could not be turned into a job: %s", MainCause(a.Text)).
			WithNext("correct the program, its arguments or options; the entry class must build one job")
	case a.Status == http.StatusNotFound:
		return failure.Wrap(failure.NotFound, a, "Flink does not know it: %s", RootCause(a.Text))
	case a.Status/100 == 5 && kind == effect && !a.has("Jar file "):
		return failure.Wrap(failure.Unknown, a, "the JobManager failed at %s: %s", what, RootCause(a.Text))
	case a.Status/100 == 5:
		return failure.Wrap(failure.Unavailable, a, "the JobManager failed at %s: %s", what, RootCause(a.Text))
	}
	return failure.Wrap(failure.Refused, a, "Flink refused %s: %s", what, RootCause(a.Text))
}

// IsDuplicate says that Flink had a job of this id already.
func IsDuplicate(err error) bool {
	var a *AnswerError
	return errors.As(err, &a) && a.has("DuplicateJobSubmissionException", "DuplicateApplicationSubmissionException")
}

// IsJarMissing says that the JobManager doesn't have the jar: it restarted, and
// forgot all uploads.
func IsJarMissing(err error) bool {
	var a *AnswerError
	return errors.As(err, &a) && a.has("Jar file ") && a.has(" does not exist")
}

// RootCause is the last "Caused by" of a Java stack trace, else its first line
// with a message; bounded.
func RootCause(trace string) string {
	cause := ""
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "Caused by: "); ok {
			cause = rest
		} else if cause == "" {
			line = strings.TrimPrefix(line, "<Exception on server side:")
			if line != "" && line != "Internal server error." && !strings.HasPrefix(line, "at ") {
				cause = line
			}
		}
	}
	return shorten(cause)
}

var mainThrew = regexp.MustCompile(`The main method caused an error: ([^\n]*)`)

// MainCause is what a user's main threw: its own exception if the trace has it.
func MainCause(trace string) string {
	if at := mainThrew.FindStringSubmatchIndex(trace); at != nil {
		cause := RootCause(trace[at[0]:])
		if !strings.HasPrefix(cause, "The main method caused an error") {
			return cause
		}
		return shorten(trace[at[2]:at[3]])
	}
	return RootCause(trace)
}

func shorten(text string) string {
	text = job.Redact(text)
	const limit = 1000
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
