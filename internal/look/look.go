// Package look is people's and tools' read-only look at a job's Flink: which
// requests it takes (this file) and how one goes on (forward.go). It passes three
// doors on its way, the cli's on the person's own machine, the api's and the
// agent's, and each asks here, so that none relies on the one before.
//
// Flink's REST has no rights of its own, and a GET may cancel a job there
// (yarn-cancel), run a user's main (/jars/{id}/plan) or show a log, a
// configuration or an environment with what a job was given in secret. So the
// list says what goes, never what doesn't: what Flink adds stays shut.
package look

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/failure"
)

// Methods are those that a look takes, as the header Allow names them.
const Methods = "GET, HEAD"

// Read is a request that the list takes.
type Read struct {
	Path  string // Flink's: begins with a slash, nothing in it is escaped
	Query string // encoded anew
}

// maxQuery is the longest query taken: a page of Flink's UI asks for dozens of
// metrics by name at once.
const maxQuery = 8 << 10

// Parse reads what stands behind prefix in a request's address. The address is
// compared as it was sent: nothing is unescaped, cleaned or resolved that a
// server behind us could understand in another way.
func Parse(r *http.Request, prefix string) (Read, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Read{}, failure.New(failure.NoMethod, "a look at Flink only reads: it takes GET and HEAD, not %s", word(r.Method)).
			WithNext("change a job by an operation: sluice op --help")
	}
	path, ours := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	if !ours || r.URL.Host != "" {
		return Read{}, failure.New(failure.NotFound, "this address is none of Flink's").WithNext("write it in plain letters, as it is documented")
	}
	if !listed(path) {
		return Read{}, failure.New(failure.Forbidden, "a look at Flink doesn't reach that address").
			WithNext("docs/operations.md (Looking at Flink) lists what it reaches; logs, configurations and jars are not in it")
	}
	query, err := query(r.URL.RawQuery)
	return Read{Path: path, Query: query}, err
}

// word keeps a caller's text short.
func word(text string) string { return text[:min(len(text), 20)] }

// parameters that choose what of a listed address is read.
var parameters = []string{"agg", "failureLabelFilter", "get", "jobs", "maxExceptions", "subtasks", "taskmanagers"}

func query(raw string) (string, error) {
	if len(raw) > maxQuery {
		return "", failure.New(failure.TooLarge, "the query is over the limit of %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", failure.New(failure.Invalid, "the query can't be read").WithNext("write it as name=value&name=value, escaped")
	}
	for name := range values {
		if !slices.Contains(parameters, name) {
			return "", failure.New(failure.Forbidden, "a look at Flink doesn't take a parameter of this query").
				WithNext("it takes %s", strings.Join(parameters, ", "))
		}
	}
	return values.Encode(), nil
}

// list is every address that a look reaches, those of Flink's own UI first. In
// braces: a kind of segment.
var list = []string{
	"/", "/{static}", "/assets/{file}", "/assets/{dir}/{file}", "/assets/{dir}/{dir}/{file}", "/assets/{dir}/{dir}/{dir}/{file}",
	"/assets/{dir}/{dir}/{dir}/{dir}/{file}", "/assets/{dir}/{dir}/{dir}/{dir}/{dir}/{file}", "/assets/{dir}/{dir}/{dir}/{dir}/{dir}/{dir}/{file}",

	"/config", // of the UI alone: version, refresh interval, features
	"/overview",
	"/jobmanager/metrics",
	"/taskmanagers", "/taskmanagers/metrics", "/taskmanagers/{taskmanager}", "/taskmanagers/{taskmanager}/metrics",

	"/jobs", "/jobs/overview", "/jobs/metrics",
	"/jobs/{id}", "/jobs/{id}/status", "/jobs/{id}/plan", "/jobs/{id}/exceptions", "/jobs/{id}/metrics", "/jobs/{id}/accumulators", "/jobs/{id}/resource-requirements",
	"/jobs/{id}/checkpoints", "/jobs/{id}/checkpoints/config", "/jobs/{id}/checkpoints/details/{n}", "/jobs/{id}/checkpoints/details/{n}/subtasks/{id}",
	"/jobs/{id}/rescales/config", "/jobs/{id}/rescales/overview", "/jobs/{id}/rescales/history", "/jobs/{id}/rescales/summary", "/jobs/{id}/rescales/details/{name}",
	"/jobs/{id}/vertices/{id}", "/jobs/{id}/vertices/{id}/accumulators", "/jobs/{id}/vertices/{id}/backpressure", "/jobs/{id}/vertices/{id}/metrics",
	"/jobs/{id}/vertices/{id}/jm-operator-metrics", "/jobs/{id}/vertices/{id}/watermarks", "/jobs/{id}/vertices/{id}/subtasktimes", "/jobs/{id}/vertices/{id}/taskmanagers",
	"/jobs/{id}/vertices/{id}/subtasks/accumulators", "/jobs/{id}/vertices/{id}/subtasks/metrics", "/jobs/{id}/vertices/{id}/subtasks/{n}",
	"/jobs/{id}/vertices/{id}/subtasks/{n}/metrics", "/jobs/{id}/vertices/{id}/subtasks/{n}/attempts/{n}", "/jobs/{id}/vertices/{id}/subtasks/{n}/attempts/{n}/accumulators",

	"/applications/overview", "/applications/{id}", "/applications/{id}/exceptions", // Flink 2.3
}

// kinds of segments. Each begins with a letter or digit, so no segment is "..",
// and none has a percent sign or a slash in any writing.
var kinds = strings.NewReplacer(
	"{static}", `[A-Za-z0-9][A-Za-z0-9._-]{0,100}\.(?:html|js|css|ico|txt)`,
	"{file}", `[A-Za-z0-9][A-Za-z0-9._-]{0,100}\.(?:js|css|json|xml|ico|png|svg|ttf|woff2?)`,
	"{dir}", `[A-Za-z0-9][A-Za-z0-9._-]{0,60}`,
	"{id}", `[0-9a-f]{32}`,
	"{n}", `[0-9]{1,18}`,
	"{name}", `[A-Za-z0-9][A-Za-z0-9-]{0,60}`,
	"{taskmanager}", `[A-Za-z0-9][A-Za-z0-9._:-]{0,200}`,
)

var known = regexp.MustCompile(`^(?:` + kinds.Replace(strings.Join(list, "|")) + `)\z`)

func listed(path string) bool { return known.MatchString(path) }
