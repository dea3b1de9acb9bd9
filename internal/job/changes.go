package job

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Change is one field that differs between two specs.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// Changes lists what differs between two specs, field by field, options by name.
// Specs of different digests have at least one.
func Changes(before, after Spec) []Change {
	var all []Change
	add := func(field, from, to string) {
		if from != to {
			all = append(all, Change{Field: field, From: from, To: to})
		}
	}
	add("engine", named(before.Engine), named(after.Engine))
	add("artifact", before.Artifact, after.Artifact)
	add("entryClass", before.EntryClass, after.EntryClass)
	for i := range max(len(before.Dependencies), len(after.Dependencies)) { // their order counts
		add("dependencies."+strconv.Itoa(i), at(before.Dependencies, i), at(after.Dependencies, i))
	}
	brokersWere, timeoutWas := before.Kafka.shown()
	brokersAre, timeoutIs := after.Kafka.shown()
	add("kafka.brokers", brokersWere, brokersAre)
	add("kafka.transactionTimeoutMs", timeoutWas, timeoutIs)
	add("arguments", commandLine(before.Arguments), commandLine(after.Arguments))
	add("secrets", secretLines(before.Secrets), secretLines(after.Secrets))
	for _, name := range union(before.Options, after.Options) {
		from, was := before.Options[name]
		to, is := after.Options[name]
		if was && is {
			add("options."+name, from, to)
		} else { // an option that is set to nothing is there
			add("options."+name, shown(from, was), shown(to, is))
		}
	}
	return all
}

// at is "" behind the list's end.
func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// named is "flink 1.20.5"; "" for no engine.
func named(e Engine) string {
	if e == (Engine{}) {
		return ""
	}
	return e.Name + " " + e.Version
}

// shown tells an empty value from none.
func shown(value string, there bool) string {
	if there && value == "" {
		return `""`
	}
	return value
}

// commandLine joins arguments as a person would type them: two lists that differ
// never look the same.
func commandLine(arguments []string) string {
	words := make([]string, len(arguments))
	for i, argument := range arguments {
		words[i] = argument
		if argument == "" || strings.ContainsFunc(argument, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\\' }) {
			words[i] = strconv.Quote(argument)
		}
	}
	return strings.Join(words, " ")
}

// union is the sorted names of both.
func union(a, b map[string]string) []string {
	names := make([]string, 0, len(a)+len(b))
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
