// Package audit reads the API server's audit log: what the platform asks of
// Kubernetes (how many requests an upgrade costs), and whether its rights are
// just what it uses.
package audit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Event is one answered request.
type Event struct {
	Verb  string `json:"verb"`
	Stage string `json:"stage"`
	URI   string `json:"requestURI"`
	Agent string `json:"userAgent"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Status struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	At time.Time `json:"requestReceivedTimestamp"`
}

// Resource is "deployments.apps" or "pods/log".
func (e Event) Resource() string {
	name := e.Object.Resource
	if e.Object.Subresource != "" {
		name += "/" + e.Object.Subresource
	}
	if e.Object.Group != "" {
		name += "." + e.Object.Group
	}
	return name
}

// Log is the audit log, read on from where the last look ended.
type Log struct {
	file *os.File
	half []byte // a line that the server was writing
}

// Open opens it.
func Open(path string) (*Log, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Log{file: file}, nil
}

// Close closes it.
func (l *Log) Close() error { return l.file.Close() }

// ToEnd goes to the log's end.
func (l *Log) ToEnd() error {
	l.half = nil
	_, err := l.file.Seek(0, io.SeekEnd)
	return err
}

// Next reads what was answered since the last ToEnd or Next; of a watch, its
// beginning.
func (l *Log) Next() ([]Event, error) {
	data, err := io.ReadAll(l.file)
	if err != nil {
		return nil, err
	}
	data = append(l.half, data...)
	end := bytes.LastIndexByte(data, '\n') + 1
	l.half = bytes.Clone(data[end:])
	var events []Event
	for line := range bytes.Lines(data[:end]) {
		var e Event
		if json.Unmarshal(line, &e) != nil { // Skip went into the middle of a line
			continue
		}
		begun := e.Stage == "ResponseStarted" // of a watch: its end may come in an hour
		if begun != (e.Verb == "watch") || e.Object.Resource == "" {
			continue
		}
		events = append(events, e)
	}
	return events, nil
}

// OfJob are the requests that the platform and a job's agents made for the job,
// besides watches.
func OfJob(events []Event, namespace, job string) []Event {
	agent := "system:serviceaccount:" + namespace + ":" + job
	selected := regexp.MustCompile("sluice.io%2Fjob%3D" + regexp.QuoteMeta(job) + "(%2C|&|$)")
	generation := regexp.MustCompile("^" + regexp.QuoteMeta(job) + "(-g[0-9]+(-|$)|$)")
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
		ours := e.User.Username == agent || strings.HasPrefix(e.User.Username, "system:serviceaccount:sluice-system:") && e.Object.Namespace == namespace &&
			(generation.MatchString(e.Object.Name) || selected.MatchString(e.URI))
		return !ours || e.Verb == "watch"
	})
}

// Table counts requests by process, verb and resource, the most frequent first.
func Table(events []Event) string {
	counts := map[string]int{}
	for _, e := range events {
		process, _, _ := strings.Cut(e.Agent, "/")
		counts[fmt.Sprintf("%-14s %-8s %s", process, e.Verb, e.Resource())]++
	}
	lines := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%6d  %s\n", counts[line], line)
	}
	return b.String()
}
