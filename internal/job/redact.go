package job

import "regexp"

// What user code prints may hold what it was configured with: a password in a
// JDBC address, a JAAS line. Exceptions and last log lines go into histories and
// problems, so they pass through here first.
var (
	redactURL   = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://[^/\s:@]+:)[^/\s@]+@`)
	redactValue = regexp.MustCompile(`(?i)((?:` + secretWords + `)[a-z0-9_.-]*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;}]+)`)
	redactKey   = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|$)`)
)

// Redact replaces what looks like a secret's value by "…".
func Redact(text string) string {
	text = redactKey.ReplaceAllString(text, "…")
	text = redactURL.ReplaceAllString(text, "${1}…@")
	return redactValue.ReplaceAllString(text, "${1}…")
}
