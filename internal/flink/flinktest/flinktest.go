// Package flinktest gives contract tests a real Flink session cluster: the one
// at SLUICE_FLINK, or one JobManager and one TaskManager of two slots in plain
// JVMs on loopback, from the jars that the stack has downloaded: those of 1.20, or
// of the line that SLUICE_FLINK_LINE names. Its doors are locked as a generation's
// are. Tests only.
package flinktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flink"
	"sluice/internal/pki"
)

// Main is a TestMain: it sets SLUICE_FLINK, and SLUICE_PRIMER and SLUICE_JOB_JAR
// to what `make java` built where they are not set. top is the way to the
// module's root.
func Main(m *testing.M, top string) {
	status, err := run(m, top)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M, top string) (int, error) {
	for name, jar := range map[string]string{"SLUICE_PRIMER": "java/primer/target/primer.jar", "SLUICE_JOB_JAR": "java/jobs/target/counter-v1.jar"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, filepath.Join(top, jar)); err != nil {
				return 1, err
			}
		}
	}
	if os.Getenv("SLUICE_FLINK") == "" {
		runtime.LockOSThread() // the JVMs die with the thread that started them
		cluster, err := start()
		defer cluster.stop()
		if err != nil {
			return 1, fmt.Errorf("start Flink for the tests: %w\n%s", err, cluster.logs())
		}
		if err := os.Setenv("SLUICE_FLINK", cluster.url); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// Doors is the key to the Flink that Main started, nil for the one at SLUICE_FLINK.
func Doors() *tls.Config { return doors.Clone() }

var doors *tls.Config

type cluster struct {
	directory string
	url       string
	jvms      []*exec.Cmd
}

// config is platform-like: the adaptive scheduler without its waits, quick
// answers, checkpoints on HDFS that are kept.
const config = `
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: %[1]d
rest.bind-port: "%[1]d"
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: %[2]d
jobmanager.bind-host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
web.refresh-interval: 50
web.upload.dir: %[3]s/upload
io.tmp.dirs: %[3]s/tmp
jobmanager.scheduler: adaptive
jobmanager.adaptive-scheduler.%[5]s: 0 s
jobmanager.adaptive-scheduler.%[6]s: 3 s
execution.checkpointing.interval: 2 s
execution.checkpointing.dir: hdfs://%[4]s/data/flinktest/checkpoints
execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 2
restart-strategy.fixed-delay.delay: 200 ms
flink.hadoop.dfs.client.block.write.locateFollowingBlock.initial.delay.ms: "10"
%[7]s`

// locks are a generation's doorOptions (internal/manifest), and its passwords.
const locks = `
security.ssl.internal.enabled: true
security.ssl.internal.keystore: %[1]s/internal.p12
security.ssl.internal.truststore: %[1]s/internal.p12
security.ssl.internal.keystore-password: %[2]s
security.ssl.internal.key-password: %[2]s
security.ssl.internal.truststore-password: %[2]s
security.ssl.rest.enabled: true
security.ssl.rest.authentication-enabled: true
security.ssl.rest.keystore: %[1]s/rest.p12
security.ssl.rest.truststore: %[1]s/rest-trust.p12
security.ssl.rest.keystore-password: %[2]s
security.ssl.rest.key-password: %[2]s
security.ssl.rest.truststore-password: %[2]s
security.ssl.algorithms: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
taskmanager.data.ssl.enabled: false
`

// lock makes the keys, and what config.yaml says of them.
func (c *cluster) lock() (string, error) {
	keys, err := pki.NewFlink("flinktest", "localhost")
	if err != nil {
		return "", err
	}
	if doors, err = pki.Pinned(keys.Client, keys.Server); err != nil {
		return "", err
	}
	for name, store := range map[string][]byte{"internal.p12": keys.Internal, "rest.p12": keys.REST, "rest-trust.p12": keys.RESTTrust} {
		if err := os.WriteFile(filepath.Join(c.directory, name), store, 0o600); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf(locks, c.directory, keys.Password), nil
}

const defaultLine = "1.20"

// line is the Flink that is started, and how it calls the scheduler's waits
// between two rescales and for a job's missing slots.
func line() (name, rescale, start string) {
	if name = os.Getenv("SLUICE_FLINK_LINE"); name == "" {
		name = defaultLine
	}
	if strings.HasPrefix(name, "1.") {
		return name, "scaling-interval.min", "resource-stabilization-timeout"
	}
	return name, "executing.cooldown-after-rescaling", "submission.resource-stabilization-timeout"
}

const logging = `
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = C
appender.console.name = C
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n
`

func start() (*cluster, error) {
	c := &cluster{}
	name, rescale, wait := line()
	classpath, err := jars(name)
	if err != nil {
		return c, err
	}
	if c.directory, err = os.MkdirTemp("", "flinktest-"); err != nil {
		return c, err
	}
	rest, err := freePort()
	if err != nil {
		return c, err
	}
	rpc, err := freePort()
	if err != nil {
		return c, err
	}
	locks, err := c.lock()
	if err != nil {
		return c, err
	}
	c.url = fmt.Sprintf("https://localhost:%d", rest)
	err = errors.Join(
		os.Mkdir(filepath.Join(c.directory, "tmp"), 0o700),
		os.Mkdir(filepath.Join(c.directory, "upload"), 0o700),
		os.WriteFile(filepath.Join(c.directory, "config.yaml"), fmt.Appendf(nil, config, rest, rpc, c.directory, os.Getenv("SLUICE_HDFS"), rescale, wait, locks), 0o600), //nolint:gosec // a directory of our own making
		os.WriteFile(filepath.Join(c.directory, "log4j.properties"), []byte(logging), 0o600),
		c.jvm("jobmanager", classpath, "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", "-Djobmanager.memory.heap.size=256m",
			"-Djobmanager.memory.off-heap.size=64m", "-Djobmanager.memory.jvm-metaspace.size=192m", "-Djobmanager.memory.jvm-overhead.min=64m", "-Djobmanager.memory.jvm-overhead.max=64m"),
		c.jvm("taskmanager", classpath, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "-Dtaskmanager.cpu.cores=2.0", "-Dtaskmanager.memory.framework.heap.size=64m",
			"-Dtaskmanager.memory.task.heap.size=192m", "-Dtaskmanager.memory.framework.off-heap.size=64m", "-Dtaskmanager.memory.task.off-heap.size=0b",
			"-Dtaskmanager.memory.network.min=16m", "-Dtaskmanager.memory.network.max=16m", "-Dtaskmanager.memory.managed.size=0b", "-Dtaskmanager.memory.jvm-metaspace.size=192m",
			"-Dtaskmanager.memory.jvm-overhead.min=64m", "-Dtaskmanager.memory.jvm-overhead.max=64m", "-Dexternal-resources=none"),
	)
	if err != nil {
		return c, err
	}
	return c, c.ready()
}

// jars is the class path of a line of Flink in the stack's cache, without SQL.
func jars(line string) (string, error) {
	cache := os.Getenv("SLUICE_CACHE")
	if cache == "" {
		root, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(root, "sluice")
	}
	var found []string
	for _, pattern := range []string{"download/flink-" + line + ".*/lib/*.jar", "download/hadoop-client-*/*.jar"} {
		files, err := filepath.Glob(filepath.Join(cache, pattern))
		if err != nil || len(files) == 0 {
			return "", fmt.Errorf("no %s in %s: `make stack-up` downloads them", pattern, cache)
		}
		for _, file := range files {
			if !strings.Contains(filepath.Base(file), "flink-table-") {
				found = append(found, file)
			}
		}
	}
	return strings.Join(found, ":"), nil
}

func freePort() (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(port)
	return number, errors.Join(err, listener.Close())
}

func (c *cluster) jvm(name, classpath, main string, options ...string) error {
	arguments := []string{
		"-Xmx256m", "-XX:MaxMetaspaceSize=192m", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j.configurationFile=file:" + filepath.Join(c.directory, "log4j.properties"),
	}
	for _, opened := range []string{"java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"} {
		arguments = append(arguments, "--add-opens=java.base/"+opened+"=ALL-UNNAMED")
	}
	arguments = append(arguments, "-cp", classpath, main, "--configDir", c.directory)
	log, err := os.Create(filepath.Join(c.directory, name+".log")) //nolint:gosec // a directory of our own making
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(context.Background(), "java", append(arguments, options...)...) //nolint:gosec // tests only; our own options
	command.Stdout, command.Stderr, command.Dir = log, log, c.directory
	command.Env = append(os.Environ(), "HADOOP_USER_NAME=flink")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	c.jvms = append(c.jvms, command)
	return nil
}

func (c *cluster) ready() error {
	client := flink.New(c.url, flink.NewTransport(doors))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		if overview, err := client.Overview(ctx); err == nil && overview.SlotsTotal >= 2 {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

func (c *cluster) stop() {
	for _, jvm := range c.jvms {
		_ = jvm.Process.Kill()
		_ = jvm.Wait()
	}
	if c.directory != "" {
		_ = os.RemoveAll(c.directory)
	}
}

// logs are the ends of the JVMs' logs.
func (c *cluster) logs() string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(c.directory, "*.log"))
	for _, file := range files {
		data, _ := os.ReadFile(file) //nolint:gosec // our own directory
		fmt.Fprintf(&out, "--- %s\n%s\n", filepath.Base(file), data[max(0, len(data)-4000):])
	}
	return out.String()
}
