package manifest

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"sluice/internal/job"
)

// Ports of a generation.
const (
	PortREST   = 8081
	PortRPC    = 6123
	PortBlob   = 6124
	portData   = 6121 // a TaskManager's data plane, opened last of all
	portScrape = 9249 // Prometheus
)

// Places in the containers.
const (
	flinkConf = "/etc/flink"
	tmp       = "/tmp"
)

// longestWait is above everything that an operation waits for: Flink must
// still know the result of a savepoint, and that a job ended, when the platform
// comes back from an outage.
const longestWait = 7 * 24 * time.Hour

// FlinkOptions is the configuration of a generation's cluster: defaults, then
// the revision's options, then what the platform owns. What isn't in scheduler.go
// has the same name and type in 1.20.5's and 2.3.0's ConfigOptions.
func (in Input) FlinkOptions() (map[string]string, error) {
	options := map[string]string{
		// A job without an interval has no checkpoints and loses everything.
		"execution.checkpointing.interval": "5 s",
		// Reports classes still used after a job ended, by failing them: Hadoop's
		// client threads outlive jobs and trip over it.
		"classloader.check-leaked-classloader": "false",
		// HDFS's client waits 400 ms before it first asks again whether a file's
		// last block has arrived: most of a small checkpoint's time. From 10 ms it
		// needs more doublings to be as patient in the end (20 s).
		"flink.hadoop.dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
		"flink.hadoop.dfs.client.block.write.locateFollowingBlock.retries":          "11",
	}
	for option, value := range in.Revision.Spec.Options {
		if job.OwnedOption(option) == "" { // refused at the API; here the platform's word counts
			options[option] = value
		}
	}
	memory, err := in.memoryOptions()
	if err != nil {
		return nil, err
	}
	for _, part := range []map[string]string{in.addressOptions(), in.metricOptions(), doorOptions(), in.safetyOptions(), in.schedulerOptions(), in.dependencyOptions(), speedOptions, memory} {
		maps.Copy(options, part)
	}
	return options, nil
}

func (in Input) addressOptions() map[string]string {
	host := in.name().Service(JobManager)
	return map[string]string{
		"jobmanager.rpc.address": host,
		"jobmanager.rpc.port":    strconv.Itoa(PortRPC),
		"jobmanager.bind-host":   "0.0.0.0", // of the pod
		"rest.address":           host,
		"rest.port":              strconv.Itoa(PortREST),
		"rest.bind-port":         strconv.Itoa(PortREST),
		"rest.bind-address":      "0.0.0.0",
		"blob.server.port":       strconv.Itoa(PortBlob),
		"taskmanager.bind-host":  "0.0.0.0",
		// A container that ends comes again within two seconds, at its pod's address. At the port of before
		// too, the JobManager that still calls the dead one and the new one's first call cross, and Pekko
		// drops all answers to it for good (apache/pekko#3206): the job would stand until the TaskManager
		// gives up, five minutes later. A port that is free now is another address.
		"taskmanager.rpc.port":                "0",
		"taskmanager.data.port":               strconv.Itoa(portData),
		"metrics.internal.query-service.port": "0", // as above
		"io.tmp.dirs":                         tmp,
		"web.upload.dir":                      tmp + "/upload",
	}
}

// metricOptions serve metrics to a Prometheus, in plain HTTP: its reporter knows
// no other. They tell no record of a job's, and the policy lets the monitoring in
// alone.
func (in Input) metricOptions() map[string]string {
	if in.Platform.Monitoring == "" {
		return nil
	}
	return map[string]string{
		"metrics.reporter.prometheus.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
		"metrics.reporter.prometheus.port":          strconv.Itoa(portScrape),
	}
}

// safetyOptions are what DESIGN §3 and §5 rest on.
func (in Input) safetyOptions() map[string]string {
	return map[string]string{
		"execution.checkpointing.dir": strings.TrimSuffix(in.Platform.HDFSURI, "/") + job.CheckpointDirectory(in.Identity.UID),
		// Else a cancel deletes what a restore needs.
		"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
		"execution.checkpointing.num-retained":                      "3", // a cluster option: ignored when given with a submission
		// Savepoints obey it too; 10 minutes are too short for large state.
		"execution.checkpointing.timeout": milliseconds(in.Platform.stopBudget()),
		"rest.async.store-duration":       milliseconds(longestWait),
		"jobstore.expiration-time":        strconv.Itoa(int(longestWait / time.Second)), // in seconds, a plain number in 1.20
		// Finite: with Flink's default a job is RESTARTING for ever and never FAILED,
		// and no other layer of recovery gets its turn.
		"restart-strategy.type":                                            "exponential-delay",
		"restart-strategy.exponential-delay.initial-backoff":               "1 s",
		"restart-strategy.exponential-delay.max-backoff":                   "30 s",
		"restart-strategy.exponential-delay.backoff-multiplier":            "2.0",
		"restart-strategy.exponential-delay.reset-backoff-threshold":       "10 min",
		"restart-strategy.exponential-delay.attempts-before-reset-backoff": "10",
		"web.submit.enable":  "true",  // the agent uploads jars
		"web.cancel.enable":  "false", // the button in Flink's UI: people go through operations
		"web.rescale.enable": "false",
	}
}

// speedOptions make a cluster of two or three processes quick to form and its
// REST answers fresh; the defaults are for hundreds of machines.
var speedOptions = map[string]string{
	"web.refresh-interval":                            "50 ms", // also the age of what REST answers
	"cluster.registration.initial-timeout":            "100 ms",
	"cluster.registration.error-delay":                "200 ms",
	"cluster.registration.refused-registration-delay": "1 s",
	"heartbeat.interval":                              "2 s",
	"heartbeat.timeout":                               "10 s",
	"slot.idle.timeout":                               "10 s",
	// A TaskManager calls before its JobManager is ready. Where the network drops
	// such a call instead of refusing it, TCP would try again after 1, 3, 7, 15 s.
	"pekko.tcp.timeout":       "2 s",
	"rest.flamegraph.enabled": "false",
}

func (in Input) memoryOptions() (map[string]string, error) {
	manager, err := DivideJobManager(in.Profile.JobManager.MemoryMiB)
	if err != nil {
		return nil, fmt.Errorf("profile %s: jobManager.memoryMiB: %w", in.Profile.Name, err)
	}
	worker, err := DivideTaskManager(in.Profile.TaskManager.MemoryMiB, in.Revision.Spec.ManagedState())
	if err != nil {
		return nil, fmt.Errorf("profile %s: taskManager.memoryMiB: %w", in.Profile.Name, err)
	}
	cpu, err := cores(in.Profile.TaskManager.CPU)
	if err != nil {
		return nil, fmt.Errorf("profile %s: taskManager.cpu: %w", in.Profile.Name, err)
	}
	return map[string]string{
		// The JobManager's are only shown in Flink's UI: its JVM got them as flags.
		"jobmanager.memory.heap.size":          mebibytes(manager.Heap),
		"jobmanager.memory.off-heap.size":      mebibytes(manager.OffHeap),
		"jobmanager.memory.jvm-metaspace.size": mebibytes(manager.Metaspace),
		"jobmanager.memory.jvm-overhead.min":   mebibytes(manager.Overhead),
		"jobmanager.memory.jvm-overhead.max":   mebibytes(manager.Overhead),
		// A TaskManager started as plain `java` refuses to run without these.
		"taskmanager.memory.framework.heap.size":     mebibytes(worker.FrameworkHeap),
		"taskmanager.memory.task.heap.size":          mebibytes(worker.TaskHeap),
		"taskmanager.memory.framework.off-heap.size": mebibytes(worker.FrameworkOffHeap),
		"taskmanager.memory.task.off-heap.size":      mebibytes(0),
		"taskmanager.memory.managed.size":            mebibytes(worker.Managed),
		"taskmanager.memory.network.min":             mebibytes(worker.Network),
		"taskmanager.memory.network.max":             mebibytes(worker.Network),
		"taskmanager.memory.jvm-metaspace.size":      mebibytes(worker.Metaspace),
		"taskmanager.memory.jvm-overhead.min":        mebibytes(worker.Overhead),
		"taskmanager.memory.jvm-overhead.max":        mebibytes(worker.Overhead),
		"taskmanager.numberOfTaskSlots":              strconv.Itoa(in.Profile.TaskManager.Slots),
		"taskmanager.cpu.cores":                      strconv.FormatFloat(cpu, 'f', -1, 64),
	}, nil
}

func mebibytes(n int) string { return strconv.Itoa(n) + "m" } // Flink's m is 2^20

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + " ms" }

// flinkConfig is config.yaml. All values are written as strings: Flink converts
// them by each option's type, and a quoted value can't turn into something else.
func (in Input) flinkConfig() (string, error) {
	options, err := in.FlinkOptions()
	if err != nil {
		return "", err
	}
	text, err := yaml.Marshal(options) // sorted by key
	return string(text), err
}

// log4j writes to the console alone: the kubelet keeps it, the file system is
// read-only, and a log in the pod would die with it.
const log4j = `rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p %-50.50c %x - %m%n

# They log every connection at INFO.
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = WARN
# A probe that connects and goes is no news.
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
`
