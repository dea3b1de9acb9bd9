//go:build stack

package stack_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// stack runs the script on a state directory of this test's own, with the machine's usual cache.
func stack(t *testing.T, state string, args ...string) (string, error) {
	t.Helper()
	// Not the test's context: that has ended when the cleanup takes the stack down.
	cmd := exec.CommandContext(context.Background(), "./stack", args...)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "KUBECONFIG", "TEMPORAL_ADDRESS", "SLUICE_DATABASE_DSN", "SLUICE_HDFS", "SLUICE_KAFKA", "SLUICE_STATE":
		default:
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "SLUICE_STATE="+state)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("stack %s: %.1f s, %v", strings.Join(args, " "), time.Since(began).Seconds(), err)
	return string(out), err
}

func mustStack(t *testing.T, state string, args ...string) string {
	t.Helper()
	out, err := stack(t, state, args...)
	if err != nil {
		t.Fatalf("stack %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"leftover"},"spec":{
 "containers":[{"name":"sleep","image":"sluice/flink:1.20.5","imagePullPolicy":"Never","command":["sleep","3600"]}]}}`

// TestUpAndDown: from nothing to running pods, through a killed server and a
// restart with its data, and back to a machine that shows no trace.
func TestUpAndDown(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	if _, err := os.Stat("/sys/class/net/sluice0"); err == nil {
		t.Fatal("a stack is up, and this test needs the machine as it is without one: run 'stack down' first")
	}
	// The name carries the mark by which a shared machine's leftovers are told from others' processes.
	state, err := os.MkdirTemp("/var/lib", "sluice-stack-test-")
	if err != nil {
		t.Fatal(err)
	}
	before := takeSnapshot(t)
	t.Cleanup(func() {
		_, _ = stack(t, state, "down", "--purge")
		_ = os.RemoveAll(state)
	})

	mustStack(t, state, "up")
	during := takeSnapshot(t)
	assertAddresses(t, before, during)
	assertEnv(t, state)
	assertPrometheus(t)

	if out := mustStack(t, state, "up"); !strings.Contains(out, "up: all of") {
		t.Errorf("a second up is not content:\n%s", out)
	}
	applyPod(t, state)

	// A killed server is seen, and up starts it alone.
	for _, name := range []string{"mariadb", "kafka", "prometheus"} {
		kill(t, filepath.Join(state, "run", name+".pid"))
		if out, err := stack(t, state, "status"); err == nil || !regexp.MustCompile(name+` +down`).MatchString(out) {
			t.Errorf("status doesn't show the dead server: %v\n%s", err, out)
		}
	}
	if out := mustStack(t, state, "up"); !strings.Contains(out, "partly up") {
		t.Errorf("up doesn't say that it heals:\n%s", out)
	}
	mustStack(t, state, "status")
	assertPrometheus(t)

	// Down with pods running, then up with the data of before.
	mustStack(t, state, "down")
	assertNothingLeft(t, before, state)
	began := time.Now()
	mustStack(t, state, "up")
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("a warm up took %s", took)
	}
	mustStack(t, state, "kubectl", "wait", "--for=condition=Ready", "pod/leftover", "--timeout=60s")

	// A down of a state that started nothing takes nothing from another's.
	mustStack(t, t.TempDir(), "down", "--purge")
	mustStack(t, state, "status")

	mustStack(t, state, "down", "--purge")
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("--purge left %s", state)
	}
	assertNothingLeft(t, before, state)
}

func applyPod(t *testing.T, state string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pod.json")
	if err := os.WriteFile(file, []byte(pod), 0o600); err != nil {
		t.Fatal(err)
	}
	mustStack(t, state, "kubectl", "apply", "-f", file)
	mustStack(t, state, "kubectl", "wait", "--for=condition=Ready", "pod/leftover", "--timeout=60s")
	out := mustStack(t, state, "kubectl", "exec", "leftover", "--", "bash", "-c", "echo >/dev/tcp/kubernetes.default.svc.cluster.local/443 && java -version 2>&1")
	if !strings.Contains(out, "OpenJDK") {
		t.Errorf("no Java in the engine image:\n%s", out)
	}
}

// assertAddresses: nothing listens on a wildcard or an outside interface.
func assertAddresses(t *testing.T, before, during snapshot) {
	t.Helper()
	inside := regexp.MustCompile(`^sockets: (tcp|udp) (127\.0\.0\.1|10\.244\.0\.1|\[::1\]):\d+$`)
	for _, l := range before.gained(during) {
		if strings.HasPrefix(l, "sockets: ") && !inside.MatchString(l) {
			t.Errorf("listens outside: %s", l)
		}
	}
}

func assertEnv(t *testing.T, state string) {
	t.Helper()
	out := mustStack(t, state, "env")
	for _, want := range []string{"KUBECONFIG=" + state, "TEMPORAL_ADDRESS=10.244.0.1:7233", "SLUICE_DATABASE_DSN=sluice:", "SLUICE_HDFS=10.244.0.1:9000", "SLUICE_KAFKA=10.244.0.1:9092", "SLUICE_PROMETHEUS=http://127.0.0.1:9090", "SLUICE_AUDIT_LOG=" + state} {
		if !strings.Contains(out, "export "+want) {
			t.Errorf("env lacks %q", want)
		}
	}
	info, err := os.Stat(filepath.Join(state, "mariadb", "password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v %v", info, err)
	}
}

// assertPrometheus: it has loaded our rules, and each can be evaluated.
func assertPrometheus(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:9090/api/v1/rules", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	rules, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rules), `"SluiceOperationWaits"`) || strings.Contains(string(rules), `"health":"err"`) {
		t.Errorf("Prometheus' rules: %v\n%s", err, rules)
	}
}

func kill(t *testing.T, pidFile string) {
	t.Helper()
	var pid int
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	if p, err := os.FindProcess(pid); err != nil || p.Kill() != nil {
		t.Fatalf("could not kill %d", pid)
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return !running(pid), nil
	}); err != nil {
		t.Fatalf("process %d did not end: %v", pid, err)
	}
}

// running says whether a process runs; a zombie doesn't.
func running(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// assertNothingLeft compares the machine with what it was. Ended processes may
// take a moment to be collected by their parent.
func assertNothingLeft(t *testing.T, before snapshot, state string) {
	t.Helper()
	var left []string
	if err := wait.ExponentialBackoff(wait.Backoff{Duration: 500 * time.Millisecond, Steps: 20}, func() (bool, error) {
		after := takeSnapshot(t)
		left = left[:0]
		for _, l := range append(before.gained(after), before.gone(after)...) {
			if l != "directories: "+state {
				left = append(left, l)
			}
		}
		return len(left) == 0, nil
	}); err != nil {
		t.Errorf("down left or changed (%v):\n%s", err, strings.Join(left, "\n"))
	}
}

// TestDownTouchesNoReusedPid: a record whose pid now is somebody else's process is ignored.
func TestDownTouchesNoReusedPid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root")
	}
	if _, err := os.Stat("/sys/class/net/sluice0"); err == nil {
		t.Fatal("a stack is up: run 'stack down' first")
	}
	stranger := exec.CommandContext(t.Context(), "sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	state := t.TempDir()
	run := filepath.Join(state, "run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf("%d 1 %s", stranger.Process.Pid, boot)
	for _, name := range []string{"etcd", "mariadb", "kubelet"} {
		if err := os.WriteFile(filepath.Join(run, name+".pid"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustStack(t, state, "down")
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("somebody else's process was ended: %v", err)
	}
}
