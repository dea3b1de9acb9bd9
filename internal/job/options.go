package job

import (
	"regexp"
	"strings"
)

// owned are the Flink options that the platform sets itself: a trailing '*'
// means every option that begins so. The reason is shown to whoever sets one.
var owned = []struct{ option, reason string }{
	{"high-availability*", "the platform recovers jobs itself"},
	{"jobmanager.rpc.*", "the addresses of a generation are the platform's"},
	{"jobmanager.bind-host", "the addresses of a generation are the platform's"},
	{"taskmanager.host", "the addresses of a generation are the platform's"},
	{"taskmanager.bind-host", "the addresses of a generation are the platform's"},
	{"taskmanager.rpc.*", "the addresses of a generation are the platform's"},
	{"taskmanager.data.port", "the addresses of a generation are the platform's"},
	{"taskmanager.resource-id", "the platform names TaskManagers after their pods"},
	{"rest.*", "only the agent talks to Flink's REST, on terms that the platform sets"},
	{"web.*", "Flink's web door belongs to the platform"},
	{"blob.*", "the addresses of a generation are the platform's"},
	{"queryable-state.*", "it opens a door into the TaskManagers"},
	{"security.*", "the platform makes the keys of each generation"},
	{"state.checkpoints.dir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"state.savepoints.dir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"execution.checkpointing.dir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"execution.checkpointing.savepoint-dir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"execution.checkpointing.storage", "snapshots lie in the job's own directory, where the platform finds them"},
	{"state.checkpoint-storage", "snapshots lie in the job's own directory, where the platform finds them"},
	{"execution.checkpointing.create-subdir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"state.checkpoints.create-subdir", "snapshots lie in the job's own directory, where the platform finds them"},
	{"execution.checkpointing.externalized-checkpoint-retention", "a cancel must never delete what the job is restored from"},
	{"execution.checkpointing.num-retained", "the platform keeps the snapshots that a restore may need"},
	{"state.checkpoints.num-retained", "the platform keeps the snapshots that a restore may need"},
	{"execution.savepoint.*", "the platform decides what a job is restored from"},
	{"execution.savepoint-restore-mode", "the platform decides what a job is restored from"},
	{"execution.state-recovery.*", "the platform decides what a job is restored from"},
	{"taskmanager.memory*", "sizes are in the profile"},
	{"jobmanager.memory*", "sizes are in the profile"},
	{"taskmanager.numberoftaskslots", "sizes are in the profile"},
	{"taskmanager.cpu.cores", "sizes are in the profile"},
	{"parallelism.default", "sizes are in the profile"},
	{"pipeline.jars", "artifacts are in the revision, by digest"},
	{"pipeline.classpaths", "artifacts are in the revision, by digest"},
	{"pipeline.name", "the platform names what it submits"},
	{"pipeline.jobvertex-parallelism-overrides", "it works on some engine versions only and is silently ignored on others"},
	{"jobmanager.scheduler", "the platform chooses the scheduler"},
	{"jobmanager.adaptive-*", "the platform tunes the scheduler"},
	{"scheduler-mode", "the platform chooses the scheduler"},
	{"jobmanager.execution.*", "the platform decides how often Flink tries again before recovery takes over"},
	{"jobmanager.partition.*", "the platform decides how often Flink tries again before recovery takes over"},
	{"jobmanager.archive.*", "the platform keeps the record of what ran"},
	{"restart-strategy*", "attempts must be finite, or recovery never learns that the job fails: the platform sets them"},
	{"jobstore.*", "the platform must be able to read how a job ended"},
	{"execution.target", "the platform submits the job"},
	{"execution.attached", "the platform submits the job"},
	{"execution.shutdown-on-*", "the platform decides when a cluster ends"},
	{"cluster.*", "the platform decides when a cluster ends"},
	{"heartbeat.*", "recovery relies on the platform's values"},
	{"env.*", "options of the JVMs are in the engine image"},
	{"containerized.*", "the platform makes the pods"},
	{"kubernetes.*", "the platform makes the pods"},
	{"yarn.*", "jobs run on Kubernetes"},
	{"plugin.*", "plugins are in the engine image"},
	{"classloader.parent-first-patterns.default", "the engine does not start with another value"},
	{"io.tmp.dirs", "the platform mounts the volumes"},
	{"process.*", "the platform mounts the volumes"},
	{"internal.*", "it is internal to Flink"},
	{"$internal.*", "it is internal to Flink"},
}

// OwnedOption says why a Flink option may not be set, "" when it may.
func OwnedOption(option string) (reason string) {
	// Flink's own names are matched whatever their case: they are case-sensitive
	// there, so that a variant would be ignored silently.
	option = strings.ToLower(option)
	for _, o := range owned {
		prefix, wild := strings.CutSuffix(o.option, "*")
		if option == o.option || wild && strings.HasPrefix(option, prefix) {
			return o.reason
		}
	}
	return ""
}

// secretWords are what names of secrets are made of. A name that merely contains
// one as a word is refused too: better a false alarm than a password in a history.
const secretWords = `password|passwd|passphrase|pwd|secret|secrets|secretkey|token|tokens|credential|credentials|apikey|jaas` +
	`|api[-_. ]?key|access[-_. ]?key|private[-_. ]?key|account[-_. ]?key|shared[-_. ]?key|basic[-_. ]?auth`

var (
	secretName = regexp.MustCompile(`(?i)(^|[^a-z])(` + secretWords + `)([^a-z]|$)`)
	// A value that carries one: "password=…" (JAAS, JDBC), "token: …".
	secretValue = regexp.MustCompile(`(?i)(^|[^a-z])(` + secretWords + `)["']?\s*[=:]\s*\S`)
	// user:password@ in an address.
	secretURL = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@`)
	// camelCase becomes words: dbPassword, accessKeyId.
	camel = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// LooksSecretName says whether an option's or argument's name is a secret's.
func LooksSecretName(name string) bool {
	return secretName.MatchString(camel.ReplaceAllString(name, "$1-$2"))
}

// LooksSecretValue says whether a value carries a secret.
func LooksSecretValue(value string) bool {
	return secretValue.MatchString(camel.ReplaceAllString(value, "$1-$2")) || secretURL.MatchString(value) ||
		strings.Contains(value, "-----BEGIN ")
}

// looksSecretArgument looks at one argument of main: "--name", "--name=value",
// "name=value" or a value.
func looksSecretArgument(argument string) bool {
	name, _, assigned := strings.Cut(argument, "=")
	if (strings.HasPrefix(argument, "-") || assigned) && LooksSecretName(name) {
		return true
	}
	return LooksSecretValue(argument)
}
