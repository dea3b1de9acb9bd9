package job

import (
	"regexp"
	"strconv"
	"strings"
)

// form is what the value of a Flink option must look like.
type form struct {
	matches *regexp.Regexp
	reason  string
	next    string
}

// The forms that Flink's own parsers take (TimeUtils, MemorySize and Configuration
// of 1.20 and 2.x). Flink notices another one only when the job graph is built or,
// worse, when a TaskManager starts.
var (
	duration = form{
		regexp.MustCompile(`^\s*[0-9]{1,18}\s*((?i:d|days?|h|hours?|m|min|minutes?|s|sec|secs|seconds?|ms|milli|millis|milliseconds?|µs|micro|micros|microseconds?|ns|nano|nanos|nanoseconds?))?\s*$`),
		"is not a duration", `write a whole number and a unit, for example "30 s", "10 min" or "500 ms"`,
	}
	memorySize = form{
		regexp.MustCompile(`^\s*[0-9]{1,18}\s*((?i:b|bytes|kb?|kibibytes|mb?|mebibytes|gb?|gibibytes|tb?|tebibytes))?\s*$`),
		"is not a size", `write a whole number and a unit, for example "64 mb" or "1 gb"`,
	}
	whole   = form{regexp.MustCompile(`^[0-9]{1,9}$`), "is not a whole number", "write digits only"}
	boolean = form{regexp.MustCompile(`^(?i:true|false)$`), "is neither true nor false", "write true or false"}
	backend = form{
		regexp.MustCompile(`^(hashmap|rocksdb|forst|[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)+)$`),
		"is not a state backend", "write hashmap, rocksdb, forst (2.x) or the name of a factory's class",
	}
	maxParallelism = form{
		regexp.MustCompile(`^(-1|[1-9][0-9]{0,4})$`), "is not a maximum parallelism", "write a number from 1 to 32768",
	}
)

// MaxParallelismOption bounds a job's parallelism for as long as it keeps its state.
const MaxParallelismOption = "pipeline.max-parallelism"

// forms are those of the options that people set most; others go to Flink as they are.
var forms = map[string]form{
	"execution.checkpointing.interval":                       duration,
	"execution.checkpointing.interval-during-backlog":        duration,
	"execution.checkpointing.min-pause":                      duration,
	"execution.checkpointing.timeout":                        duration,
	"execution.checkpointing.aligned-checkpoint-timeout":     duration,
	"execution.checkpointing.max-concurrent-checkpoints":     whole,
	"execution.checkpointing.tolerable-failed-checkpoints":   whole,
	"execution.checkpointing.incremental":                    boolean,
	"execution.checkpointing.unaligned":                      boolean,
	"execution.checkpointing.unaligned.enabled":              boolean,
	"execution.buffer-timeout.interval":                      duration,
	"pipeline.auto-watermark-interval":                       duration,
	MaxParallelismOption:                                     maxParallelism,
	"pipeline.object-reuse":                                  boolean,
	"pipeline.operator-chaining":                             boolean,
	"pipeline.operator-chaining.enabled":                     boolean,
	"state.backend":                                          backend,
	"state.backend.type":                                     backend,
	"state.backend.incremental":                              boolean,
	"state.backend.rocksdb.memory.fixed-per-slot":            memorySize,
	"state.backend.rocksdb.writebuffer.size":                 memorySize,
	"state.backend.rocksdb.block.cache-size":                 memorySize,
	"state.storage.fs.memory-threshold":                      memorySize,
	"table.exec.mini-batch.allow-latency":                    duration,
	"table.exec.mini-batch.enabled":                          boolean,
	"table.exec.source.idle-timeout":                         duration,
	"table.exec.state.ttl":                                   duration,
	"taskmanager.network.memory.buffer-debloat.enabled":      boolean,
	"taskmanager.network.memory.max-buffers-per-channel":     whole,
	"taskmanager.network.memory.floating-buffers-per-gate":   whole,
	"taskmanager.network.memory.buffers-per-channel":         whole,
	"client.timeout":                                         duration,
	"metrics.latency.interval":                               duration,
	"execution.checkpointing.max-aligned-checkpoint-size":    memorySize,
	"execution.checkpointing.checkpoints-after-tasks-finish": boolean,
}

// CheckOptionValue says what is wrong with the value of a Flink option, and what to
// do; empty when nothing is, or when the option's form isn't known here.
func CheckOptionValue(option, value string) (reason, next string) {
	known, found := forms[option]
	switch {
	case !found:
		return "", ""
	case !known.matches.MatchString(value):
		return known.reason, known.next
	case option == MaxParallelismOption && MaxParallelism(map[string]string{option: value}) > 1<<15:
		return known.reason, known.next
	}
	return "", ""
}

// MaxParallelism is what the options allow; 0 when they say nothing.
func MaxParallelism(options map[string]string) int {
	value, err := strconv.Atoi(strings.TrimSpace(options[MaxParallelismOption]))
	if err != nil || value < 0 {
		return 0
	}
	return value
}
