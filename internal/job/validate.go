package job

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/failure"
)

// Limits of a revision. A revision travels in workflow payloads, which stay far
// below 512 KiB.
const (
	MaxArguments      = 200
	MaxDependencies   = 50
	MaxArgumentLength = 4096 // bytes
	MaxOptions        = 200
	MaxOptionLength   = 4096 // bytes
	MaxBodyLength     = 128 << 10
	MaxReason         = 200 // characters
)

var (
	optionName    = regexp.MustCompile(`^[a-z0-9.-]+$`)
	className     = regexp.MustCompile(`^([A-Za-z_$][A-Za-z0-9_$]*\.)*[A-Za-z_$][A-Za-z0-9_$]*$`)
	engineName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)
	engineVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+){1,3}(-[a-z0-9.]+)?$`)
)

const secretNext = "keep secrets out of revisions: put it into a Kubernetes Secret of the tenant's namespace, name that under secrets (mountPath, or env and key), and let the job read it from there"

// Validate lists everything that is wrong with a spec. Field names are JSON
// pointers below at ("/spec"). engines are those that the platform offers; nil
// leaves that to the server.
func (s Spec) Validate(at string, engines []Engine) []failure.Field {
	v := fields{at: at}
	v.engine(s.Engine, engines)
	if _, err := ParseDigest(s.Artifact); err != nil {
		v.add("/artifact", err.Error(), "push the jar (sluice artifact push) and use the digest that it prints")
	}
	if len(s.EntryClass) > 500 || !className.MatchString(s.EntryClass) {
		v.add("/entryClass", "is not the fully qualified name of a Java class", "for example com.example.orders.Main")
	}
	v.dependencies(s)
	v.kafka(s.Kafka)
	v.arguments(s)
	v.options(s.Options)
	v.secrets(s.Secrets)
	if size := s.size(); size > MaxBodyLength {
		v.add("", fmt.Sprintf("is %d bytes long; at most %d are allowed", size, MaxBodyLength), "move large arguments into a file on HDFS or into the jar")
	}
	return v.found
}

func (s Spec) size() int {
	size := 0
	for _, argument := range s.Arguments {
		size += len(argument)
	}
	for name, value := range s.Options {
		size += len(name) + len(value)
	}
	return size
}

// taken are names in a tenant's namespace that aren't a job's: Kubernetes' own
// ServiceAccount, and what the platform lives by (deploy/tenant). A job's account
// and its Role have the job's name, so it would take their place.
var taken = []string{"default", "sluice"}

// CheckJobName says what is wrong with the name of a job that is to be made; empty
// when nothing is.
func CheckJobName(name string) string {
	if reason := CheckName(name); reason != "" {
		return reason
	}
	if slices.Contains(taken, name) || strings.HasPrefix(name, "sluice-") || strings.HasPrefix(name, "kube-") {
		return "is reserved: Kubernetes or the platform has objects of that name"
	}
	return ""
}

// CheckSite says what is wrong with the name of a job's site.
func CheckSite(site string) []failure.Field {
	if reason := CheckName(site); reason != "" {
		return []failure.Field{{Name: "/site", Reason: reason}}
	}
	return nil
}

type fields struct {
	at    string
	found []failure.Field
}

func (v *fields) add(field, reason, next string) {
	v.found = append(v.found, failure.Field{Name: v.at + field, Reason: reason, Next: next})
}

func (v *fields) engine(engine Engine, engines []Engine) {
	bad := false
	if !engineName.MatchString(engine.Name) {
		v.add("/engine/name", "is not the name of an engine", "for example flink")
		bad = true
	}
	if !engineVersion.MatchString(engine.Version) {
		v.add("/engine/version", "is not a version", "for example 1.20.5")
		bad = true
	}
	if bad || engines == nil || slices.Contains(engines, engine) {
		return
	}
	known := make([]string, len(engines))
	for i, e := range engines {
		known[i] = e.Name + " " + e.Version
	}
	v.add("/engine", fmt.Sprintf("%s %s is not offered here", engine.Name, engine.Version), "choose one of: "+strings.Join(known, ", "))
}

func (v *fields) dependencies(s Spec) {
	if len(s.Dependencies) > MaxDependencies {
		v.add("/dependencies", fmt.Sprintf("has %d entries; at most %d are allowed", len(s.Dependencies), MaxDependencies), "put what belongs together into one jar")
		return
	}
	for i, digest := range s.Dependencies {
		field := "/dependencies/" + strconv.Itoa(i)
		if _, err := ParseDigest(digest); err != nil {
			v.add(field, err.Error(), "push the jar (sluice artifact push) and use the digest that it prints")
		} else if digest == s.Artifact {
			v.add(field, "is the job's own jar", "leave it out: it is on the class path")
		} else if at := slices.Index(s.Dependencies, digest); at < i {
			v.add(field, fmt.Sprintf("repeats /dependencies/%d", at), "leave it out")
		}
	}
}

func (v *fields) arguments(s Spec) {
	arguments := s.Arguments
	if len(arguments) > MaxArguments {
		v.add("/arguments", fmt.Sprintf("has %d entries; at most %d are allowed", len(arguments), MaxArguments), "")
		return
	}
	for i, argument := range arguments {
		field := "/arguments/" + strconv.Itoa(i)
		if reason := checkText(argument, MaxArgumentLength); reason != "" {
			v.add(field, reason, "")
		} else if looksSecretArgument(argument) || i > 0 && secretFlag(arguments[i-1]) && !strings.HasPrefix(argument, "-") {
			v.add(field, "looks like a secret", secretNext)
		} else if reason := s.checkPlaceholders(argument); reason != "" {
			v.add(field, reason, "")
		}
	}
}

// secretFlag says whether an argument names a secret whose value comes next.
func secretFlag(argument string) bool {
	return strings.HasPrefix(argument, "-") && !strings.Contains(argument, "=") && LooksSecretName(argument)
}

func (v *fields) options(options map[string]string) {
	if len(options) > MaxOptions {
		v.add("/options", fmt.Sprintf("has %d entries; at most %d are allowed", len(options), MaxOptions), "")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		field := "/options/" + pointer(name)
		value := options[name]
		switch reason := OwnedOption(name); {
		case reason != "":
			v.add(field, "belongs to the platform: "+reason, "leave it out")
		case LooksSecretName(name) || LooksSecretValue(value):
			v.add(field, "looks like a secret", secretNext)
		case !optionName.MatchString(name) || len(name) > 200:
			v.add(field, "is not the name of a Flink option: lower-case letters, digits, '.' and '-'", "")
		default:
			v.optionValue(field, name, value)
		}
	}
}

// optionValue refuses lines too: no option of Flink has one, and a value must not
// be able to look like further options wherever it is printed.
func (v *fields) optionValue(field, name, value string) {
	if reason := checkText(value, MaxOptionLength); reason != "" {
		v.add(field, reason, "")
	} else if strings.ContainsAny(value, "\n\t") {
		v.add(field, "holds a line end or a tab", "write the value on one line")
	} else if reason, next := CheckOptionValue(name, value); reason != "" {
		v.add(field, reason, next)
	}
}

// pointer escapes one step of a JSON pointer (RFC 6901), and what a terminal
// should not be shown.
func pointer(step string) string {
	step = strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, step)
}

func checkText(text string, limit int) string {
	switch {
	case len(text) > limit:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(text), limit)
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return fmt.Sprintf("holds the control character U+%04X", r)
		}
	}
	return ""
}

// use is a field of a request that means something to some Kinds only.
type use struct {
	field string
	given bool
	means bool // something to the request's kind
}

func (r Request) uses() []use {
	return []use{
		{"/revision", r.Revision != 0, r.Kind.ChoosesRevision()},
		{"/profile", r.Profile != "", r.Kind.Submits() && r.Kind != Restart},
		{"/strategy", r.Strategy != "", r.Kind.Replaces()},
		{"/allowCold", r.AllowCold, r.Kind.Replaces()},
		{"/allowUnchecked", r.AllowUnchecked, r.Kind.Replaces()},
		{"/stateless", r.Stateless, r.Kind == Start || r.Kind == Stop},
		{"/fromSnapshot", r.FromSnapshot != "", r.Kind == Start},
		{"/allowStateLoss", r.AllowStateLoss, r.Kind.ChoosesRevision()},
		{"/withoutSavepoint", r.WithoutSavepoint, r.Kind.Replaces() && r.Kind != Rescale || r.Kind == Stop},
		{"/replay", r.Replay != "", r.Kind.Replaces()},
		{"/supersede", r.Supersede != "", r.Kind == Start},
		{"/defaultDecision", r.DefaultDecision != "", r.Kind.Submits()},
		{"/soakSeconds", r.SoakSeconds != nil, r.Kind.Submits()},
	}
}

// Validate lists everything that is wrong with a request, at the body's root.
func (r Request) Validate() []failure.Field {
	v := fields{}
	if !slices.Contains(Kinds, r.Kind) {
		v.add("/kind", fmt.Sprintf("%q is none of %s", r.Kind, joined(Kinds)), "")
	}
	for _, u := range r.uses() {
		if u.given && slices.Contains(Kinds, r.Kind) && !u.means {
			v.add(u.field, "means nothing to a "+string(r.Kind), "leave it out")
		}
	}
	r.validateValues(&v)
	return v.found
}

func (r Request) validateValues(v *fields) {
	if r.Revision < 0 {
		v.add("/revision", "is negative", "leave it out for the newest")
	}
	if r.Profile != "" {
		if reason := CheckName(r.Profile); reason != "" {
			v.add("/profile", reason, "")
		}
	} else if r.Kind == Rescale {
		v.add("/profile", "is missing: a rescale brings the job to another profile", "name one; GET .../profiles lists them")
	}
	oneOf(v, "/strategy", r.Strategy, Warm, Cold, InPlace)
	if r.Kind == Restart && r.Strategy == InPlace {
		v.add("/strategy", "means nothing to a restart: in place only parallelism and TaskManagers change, and a restart changes neither", "leave it out: a new cluster takes the job over; for another size: sluice op rescale")
	}
	oneOf(v, "/replay", r.Replay, ReplayAsk, ReplayAllow, ReplayDeny)
	if r.WithoutSavepoint && r.Stateless {
		v.add("/withoutSavepoint", "means nothing to what is stateless: no savepoint is tried, and no checkpoint is needed", "leave it out, or stateless")
	}
	if r.AllowStateLoss && r.Stateless {
		v.add("/allowStateLoss", "means nothing to a start without a snapshot", "leave it out, or stateless")
	}
	if r.SoakSeconds != nil && (*r.SoakSeconds < 0 || *r.SoakSeconds > MaxSoakSeconds) {
		v.add("/soakSeconds", fmt.Sprintf("must be from 0 to %d", MaxSoakSeconds), "")
	}
	if r.AllowCold && (r.Strategy == Cold || r.Strategy == InPlace) {
		v.add("/allowCold", "means nothing here: it is for what is warm and takes the place of what runs", "leave it out")
	}
	if r.AllowUnchecked && r.Kind.Replaces() && !r.AllowCold && r.Strategy != Cold {
		v.add("/allowUnchecked", "means nothing to what must not be cold: unchecked is a cold operation for whose JobManager there is no room", "say allowCold too, or strategy cold; or leave it out")
	}
	r.validateForeign(v)
	r.validateDefault(v)
	if r.Supersede != "" && !operationID.MatchString(r.Supersede) {
		v.add("/supersede", "is not an operation's id", "list the job's: sluice get operations")
	}
	if r.Supersede != "" && r.PlanDigest != "" {
		v.add("/planDigest", "can't be that of a start that supersedes: no plan is made while the other operation waits", "leave it out: the start is checked before the waiting operation gives up")
	} else if r.PlanDigest != "" {
		if _, err := ParseDigest(r.PlanDigest); err != nil {
			v.add("/planDigest", err.Error(), "use the digest that sluice plan prints")
		}
	}
	if utf8.RuneCountInString(r.Reason) > MaxReason {
		v.add("/reason", fmt.Sprintf("has more than %d characters", MaxReason), "")
	} else if reason := checkText(r.Reason, 4*MaxReason); reason != "" {
		v.add("/reason", reason, "")
	}
}

func (r Request) validateForeign(v *fields) {
	if r.FromSnapshot == "" {
		return
	}
	if reason := CheckSnapshotLocation(r.FromSnapshot); reason != "" {
		v.add("/fromSnapshot", reason, "for example hdfs://namenode:8020/handed-over/orders/savepoint-1a2b3c-4d5e6f7a8b9c")
	} else if r.Stateless {
		v.add("/fromSnapshot", "means nothing to a start without a snapshot", "leave it out, or stateless")
	}
}

// operationID is a ULID.
var operationID = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

func (r Request) validateDefault(v *fields) {
	oneOf(v, "/defaultDecision", r.DefaultDecision, "retry", "replay", "give-up")
	switch {
	case r.DefaultDecision == "" && r.DefaultAfterMinutes != 0:
		v.add("/defaultAfterMinutes", "means nothing without defaultDecision", "name the decision too")
	case r.DefaultDecision != "":
		v.between("/defaultAfterMinutes", r.DefaultAfterMinutes, 1, MaxDefaultMinutes)
	}
}

// oneOf: "" leaves the choice to the platform.
func oneOf[T ~string](v *fields, field string, value T, known ...T) {
	if value != "" && !slices.Contains(known, value) {
		v.add(field, fmt.Sprintf("%q is none of %s", value, joined(known)), "")
	}
}

func joined[T ~string](values []T) string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = string(value)
	}
	return strings.Join(all, ", ")
}

// CheckSnapshotLocation says what is wrong with the address of a snapshot: only
// clean paths on HDFS pass.
func CheckSnapshotLocation(location string) string {
	name := location
	if rest, ok := strings.CutPrefix(location, "hdfs://"); ok {
		host, below, _ := strings.Cut(rest, "/")
		if host == "" || strings.Contains(host, "@") {
			return "names no host"
		}
		name = "/" + below
	}
	name = strings.TrimSuffix(name, "/")
	switch {
	case len(location) > 1000:
		return "is longer than 1000 bytes"
	case strings.ContainsFunc(location, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(`%\?#*[]{}`, r) }) || !utf8.ValidString(location):
		return "has a character that is not allowed"
	case !strings.HasPrefix(name, "/"):
		return "is neither hdfs://host:port/path nor a path"
	case path.Clean(name) != name || path.Dir(name) == "/":
		return "is not a clean path below some directory"
	}
	return ""
}
