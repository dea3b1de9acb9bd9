// Package checker reads what the counter job (java/jobs) wrote and says whether anything was lost, doubled or counted
// from the wrong state, and how long nothing ran. It is the judge of every end-to-end scenario: it asks neither Flink
// nor Sluice and knows nothing of what was done to the job, so a fault in either can't make it agree.
//
// It never writes, and it never waits: a scenario stops the job first. Judging a job that runs would take files that a
// checkpoint is just about to publish for losses.
package checker
