// Package stack_test proves what `testsuite/stack/stack` promises. These tests
// touch nothing: every look of preflight is pointed at a made-up machine. The
// tests that start and stop the real thing need root and the build tag `stack`.
package stack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The scripts are read, so that Go's test cache knows what these tests depend on.
func TestMain(m *testing.M) {
	scripts, _ := filepath.Glob("lib/*.sh")
	for _, name := range append(scripts, "stack", "versions.env") {
		if _, err := os.ReadFile(name); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// machine is a made-up one that preflight accepts until a test spoils it.
type machine struct {
	t    *testing.T
	dir  string
	vars map[string]string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), vars: map[string]string{}}
	m.vars["SLUICE_PREFLIGHT_UID"] = "0"
	m.vars["SLUICE_PREFLIGHT_ARCH"] = "x86_64"
	m.vars["SLUICE_PREFLIGHT_DISK_KIB"] = "104857600"
	m.vars["SLUICE_PREFLIGHT_OS_RELEASE"] = m.write("os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	m.vars["SLUICE_PREFLIGHT_MEMINFO"] = m.write("meminfo", "MemTotal:       16384000 kB\n")
	m.vars["SLUICE_PREFLIGHT_NETWORKS"] = m.write("networks", "2: eth0    inet 192.0.2.2/24 scope global eth0\n")
	m.vars["SLUICE_PREFLIGHT_PROC"] = m.mkdir("proc")
	m.vars["SLUICE_PREFLIGHT_ROOT"] = m.mkdir("root")
	for _, tool := range []string{"bin/jlink", "bin/mvn", "bin/make"} {
		m.tool(tool, "")
	}
	m.tool("bin/go", "case $2 in GOVERSION) echo go1.99.1;; GOTOOLCHAIN) echo auto;; esac")
	m.tool("bin/javac", "echo javac 17.0.15")
	m.mkdir("tools/jmods")
	m.vars["SLUICE_PREFLIGHT_TOOLS"] = filepath.Join(m.dir, "tools", "bin")
	m.vars["SLUICE_STATE"] = filepath.Join(m.dir, "state")
	m.vars["SLUICE_CACHE"] = filepath.Join(m.dir, "cache")
	return m
}

func (m *machine) mkdir(name string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// tool puts a made-up program among the machine's tools.
func (m *machine) tool(name, script string) {
	m.t.Helper()
	path := m.write("tools/"+name, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, content string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// process adds one to the made-up /proc, holding the socket inodes given.
func (m *machine) process(pid int, comm, state string, inodes ...int) {
	m.t.Helper()
	dir := fmt.Sprintf("proc/%d/", pid)
	m.write(dir+"comm", comm+"\n")
	m.write(dir+"stat", fmt.Sprintf("%d (%s) %s 1 1\n", pid, comm, state))
	m.mkdir(dir + "fd")
	for i, inode := range inodes {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(m.dir, dir, "fd", fmt.Sprint(i))); err != nil {
			m.t.Fatal(err)
		}
	}
}

// listen adds a listening TCP socket; address as the kernel prints it.
func (m *machine) listen(hexAddress string, port, inode int) {
	m.t.Helper()
	line := fmt.Sprintf("   0: %s:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1\n", hexAddress, port, inode)
	m.write("proc/net/tcp", "  sl  local_address rem_address   st\n"+line)
}

func (m *machine) run(args ...string) (string, error) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "./stack", args...)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "KUBECONFIG", "TEMPORAL_ADDRESS", "SLUICE_DATABASE_DSN", "SLUICE_HDFS", "SLUICE_KAFKA":
		default:
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for name, value := range m.vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPreflightAcceptsAndSaysWhatWillChange(t *testing.T) {
	m := newMachine(t)
	out, err := m.run("preflight")
	if err != nil {
		t.Fatalf("refused a good machine: %v\n%s", err, out)
	}
	for _, want := range []string{"packages", "sluice0", "10.244.0.1:6443", "127.0.0.1:2379", "net.ipv4.ip_forward", "/kubepods", "mounts", m.vars["SLUICE_STATE"]} {
		if !strings.Contains(out, want) {
			t.Errorf("doesn't mention %q:\n%s", want, out)
		}
	}
	m.untouched()
}

// untouched fails when a run left anything of its own behind.
func (m *machine) untouched() {
	m.t.Helper()
	for _, name := range []string{"SLUICE_STATE", "SLUICE_CACHE"} {
		if _, err := os.Stat(m.vars[name]); !os.IsNotExist(err) {
			m.t.Errorf("%s was touched (%v)", name, err)
		}
	}
}

func TestPreflightRefuses(t *testing.T) {
	const everywhere, loopback, bridge, other = "00000000", "0100007F", "0100F40A", "020200C0"
	cases := map[string]struct {
		spoil func(*machine)
		want  []string
	}{
		"not root": {func(m *machine) { m.vars["SLUICE_PREFLIGHT_UID"] = "1000" }, []string{"not root", "1000"}},
		"another distribution": {func(m *machine) { m.write("os-release", "ID=ubuntu\nVERSION_ID=\"24.04\"\n") },
			[]string{"ubuntu 24.04", "Debian 12 or 13"}},
		"an old Debian":       {func(m *machine) { m.write("os-release", "ID=debian\nVERSION_ID=\"11\"\n") }, []string{"debian 11"}},
		"another processor":   {func(m *machine) { m.vars["SLUICE_PREFLIGHT_ARCH"] = "aarch64" }, []string{"aarch64"}},
		"little memory":       {func(m *machine) { m.write("meminfo", "MemTotal:        4194304 kB\n") }, []string{"4 GiB of memory", "10"}},
		"little disk":         {func(m *machine) { m.vars["SLUICE_PREFLIGHT_DISK_KIB"] = "5242880" }, []string{"5 GiB of disk", "25"}},
		"no Go, JDK or Maven": {func(m *machine) { m.vars["SLUICE_PREFLIGHT_TOOLS"] = m.mkdir("nothing") }, []string{"go javac jlink mvn make"}},
		"Debian's Go": {func(m *machine) { m.tool("bin/go", "case $2 in GOVERSION) echo go1.19.8;; *) exit 1;; esac") },
			[]string{"this is Go 1.19.8", "is needed (go.mod)"}},
		"a Go that stays what it is": {func(m *machine) {
			m.tool("bin/go", "case $2 in GOVERSION) echo go1.22.0;; GOTOOLCHAIN) echo local;; esac")
		}, []string{"this is Go 1.22.0"}},
		"another JDK": {func(m *machine) { m.tool("bin/javac", "echo javac 21.0.4") }, []string{"javac is of version 21.0.4", "JDK 17"}},
		"a JDK without jmods": {func(m *machine) {
			if err := os.Remove(filepath.Join(m.dir, "tools/jmods")); err != nil {
				m.t.Fatal(err)
			}
		}, []string{"has no jmods"}},
		"a network in the way": {func(m *machine) { m.write("networks", "5: cni0    inet 10.244.0.1/24 scope global cni0\n") },
			[]string{"cni0 has 10.244.0.1/24"}},
		"a port taken everywhere": {func(m *machine) { m.process(4711, "postgres", "S", 99); m.listen(everywhere, 6443, 99) },
			[]string{"port 6443", "kube-apiserver", "4711 postgres"}},
		"a port taken on loopback": {func(m *machine) { m.process(4712, "etcdlike", "S", 98); m.listen(loopback, 2379, 98) },
			[]string{"port 2379", "etcd", "4712 etcdlike"}},
		"a port taken on the bridge": {func(m *machine) { m.process(4713, "mysqld", "S", 97); m.listen(bridge, 3306, 97) },
			[]string{"port 3306", "mariadb", "4713 mysqld"}},
		"a kubelet":           {func(m *machine) { m.process(12, "kubelet", "S") }, []string{"kubelet (pid 12)", "isn't ours"}},
		"k3s":                 {func(m *machine) { m.process(13, "k3s-server", "S") }, []string{"k3s-server (pid 13)"}},
		"a containerd":        {func(m *machine) { m.process(14, "containerd", "S") }, []string{"containerd (pid 14)"}},
		"kubeadm's directory": {func(m *machine) { m.mkdir("root/etc/kubernetes") }, []string{"/etc/kubernetes exists"}},
		"a kubelet's state":   {func(m *machine) { m.mkdir("root/var/lib/kubelet") }, []string{"/var/lib/kubelet exists"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			c.spoil(m)
			// `up` must refuse just as `preflight` does, before it touches anything.
			for _, command := range []string{"preflight", "up"} {
				out, err := m.run(command)
				if err == nil {
					t.Fatalf("%s did not refuse:\n%s", command, out)
				}
				if !strings.Contains(out, "refused, nothing was changed") {
					t.Errorf("%s failed in another way:\n%s", command, out)
				}
				for _, want := range c.want {
					if !strings.Contains(out, want) {
						t.Errorf("%s: the refusal doesn't mention %q:\n%s", command, want, out)
					}
				}
			}
			m.untouched()
		})
	}
	t.Run("all reasons at once", func(t *testing.T) {
		m := newMachine(t)
		m.vars["SLUICE_PREFLIGHT_UID"] = "1000"
		m.vars["SLUICE_PREFLIGHT_ARCH"] = "aarch64"
		out, err := m.run("preflight")
		if err == nil || !strings.Contains(out, "not root") || !strings.Contains(out, "aarch64") {
			t.Errorf("not all reasons are named: %v\n%s", err, out)
		}
	})
	for name, spoil := range map[string]func(*machine){
		"a Go that fetches go.mod's": func(m *machine) {
			m.tool("bin/go", "case $2 in GOVERSION) echo go1.21.0;; GOTOOLCHAIN) echo auto;; esac")
		},
		"a port on another address": func(m *machine) { m.process(15, "nginx", "S", 96); m.listen(other, 6443, 96) },
		"another port":              func(m *machine) { m.process(16, "nginx", "S", 95); m.listen(everywhere, 8080, 95) },
		"a kubelet that has ended":  func(m *machine) { m.process(17, "kubelet", "Z") },
	} {
		t.Run("not for "+name, func(t *testing.T) {
			m := newMachine(t)
			spoil(m)
			if out, err := m.run("preflight"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A user's own server is not started, and what it would have needed is no reason to refuse.
func TestPreflightWithOwnServers(t *testing.T) {
	m := newMachine(t)
	m.process(20, "mysqld", "S", 90)
	m.listen("00000000", 3306, 90)
	m.vars["SLUICE_DATABASE_DSN"] = "me:secret@tcp(db.example:3306)/sluice"
	out, err := m.run("preflight")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(out, "mariadb\n") || strings.Contains(out, "secret") {
		t.Errorf("starts MariaDB all the same, or shows the password:\n%s", out)
	}
	out, err = m.run("env")
	if err != nil || !strings.Contains(out, "db.example") {
		t.Errorf("env doesn't hand the user's database on: %v\n%s", err, out)
	}
}

// With a cluster of the user's own, the Kubernetes that runs here may be that one.
func TestPreflightWithOwnCluster(t *testing.T) {
	m := newMachine(t)
	m.process(20, "kubelet", "S")
	m.process(21, "containerd", "S")
	m.mkdir("root/etc/kubernetes")
	m.mkdir("root/var/lib/kubelet")
	m.listen("00000000", 6443, 90)
	if out, err := m.run("preflight"); err == nil {
		t.Fatalf("another Kubernetes, and it would start its own:\n%s", out)
	}
	m.vars["KUBECONFIG"] = m.write("kubeconfig", "apiVersion: v1\n")
	if out, err := m.run("preflight"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUsage(t *testing.T) {
	m := newMachine(t)
	out, err := m.run("nonsense")
	if err == nil || !strings.Contains(out, "usage:") {
		t.Errorf("%v\n%s", err, out)
	}
	m.untouched()
}
