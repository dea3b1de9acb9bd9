//go:build stack

package stack_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// snapshot is what the stack could leave behind on a machine: for each kind of
// thing the sorted list of those there are.
type snapshot map[string][]string

func takeSnapshot(t *testing.T) snapshot {
	t.Helper()
	return snapshot{
		"processes":   processes(t),
		"mounts":      mounts(t),
		"links":       lines(t, "ip", "-o", "link"),
		"addresses":   lines(t, "ip", "-o", "addr"),
		"routes":      append(lines(t, "ip", "route", "show", "table", "all"), lines(t, "ip", "-6", "route", "show", "table", "all")...),
		"rules":       append(lines(t, "ip", "rule"), lines(t, "ip", "-6", "rule")...),
		"iptables":    lines(t, "iptables-save"),
		"ip6tables":   lines(t, "ip6tables-save"),
		"nftables":    lines(t, "nft", "list", "ruleset"),
		"cgroups":     cgroups(t),
		"sysctls":     sysctls(t),
		"sockets":     sockets(t),
		"namespaces":  networkNamespaces(),
		"directories": directories(),
	}
}

// gained lists what is in after and not in s, as "kind: thing"; gone the other way round.
func (s snapshot) gained(after snapshot) []string { return after.minus(s) }
func (s snapshot) gone(after snapshot) []string {
	var out []string
	for _, l := range s.minus(after) {
		// Other programs of the machine may end while a test runs.
		if !strings.HasPrefix(l, "processes: ") && !strings.HasPrefix(l, "sockets: ") && !strings.HasPrefix(l, "namespaces: ") {
			out = append(out, l)
		}
	}
	return out
}

func (s snapshot) minus(other snapshot) []string {
	var out []string
	for kind, things := range s {
		seen := map[string]bool{}
		for _, l := range other[kind] {
			seen[l] = true
		}
		for _, l := range things {
			if !seen[l] {
				out = append(out, kind+": "+l)
			}
		}
	}
	sort.Strings(out)
	return out
}

// Counters and lifetimes change by themselves.
var volatile = regexp.MustCompile(`^#.*|\[\d+:\d+\]|\d+sec|packets \d+ bytes \d+|age \d+`)

func lines(t *testing.T, name string, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	var ls []string
	for _, l := range strings.Split(string(out), "\n") {
		if l = strings.TrimSpace(volatile.ReplaceAllString(l, "")); l != "" {
			ls = append(ls, l)
		}
	}
	sort.Strings(ls)
	return ls
}

// processes lists programs with their start time, so that a pid used twice is two things.
// SLUICE_STACK_TEST_SHARED: other people work on this machine, so only what carries
// the stack's mark (its HOME, its cgroup) counts.
func processes(t *testing.T) []string {
	t.Helper()
	shared := os.Getenv("SLUICE_STACK_TEST_SHARED") != ""
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(dir + "/cmdline")
		if err != nil || len(cmdline) == 0 { // gone, a kernel thread, or a zombie
			continue
		}
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[0] == "Z" || descends(filepath.Base(dir)) {
			continue
		}
		if shared {
			environ, _ := os.ReadFile(dir + "/environ")
			cgroup, _ := os.ReadFile(dir + "/cgroup")
			if !bytes.Contains(environ, []byte("sluice-stack")) && !bytes.Contains(cmdline, []byte("sluice-stack")) &&
				!bytes.Contains(cgroup, []byte("kubepods")) {
				continue
			}
		}
		out = append(out, fmt.Sprintf("%s started %s: %s", filepath.Base(dir), fields[19], strings.ReplaceAll(string(cmdline), "\x00", " ")))
	}
	sort.Strings(out)
	return out
}

// descends tells whether a process is this test's own child.
func descends(pid string) bool {
	self := fmt.Sprint(os.Getpid())
	for range 64 {
		if pid == self {
			return true
		}
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return false
		}
		pid = strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[1]
		if pid == "0" || pid == "1" {
			return false
		}
	}
	return false
}

func mounts(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	ls := strings.Split(strings.TrimSpace(string(raw)), "\n")
	sort.Strings(ls)
	return ls
}

func cgroups(t *testing.T) []string {
	t.Helper()
	var out []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			out = append(out, path)
		}
		return nil
	})
	return out
}

// Values that a kernel changes by itself, or that say how busy it is.
var restless = regexp.MustCompile(`^(kernel\.random\.|kernel\.ns_last_pid|kernel\.pty\.nr|kernel\.sched|kernel\.perf|fs\.(dentry|inode|file|aio|quota)|net\.netfilter\.nf_conntrack_(count|buckets)|net\.ipv4\.tcp_fastopen_key|vm\.stat|net\.core\.|kernel\.tainted|kernel\.firmware)`)

func sysctls(t *testing.T) []string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), "sysctl", "-a").Output() // some can't be read: that is no failure
	var ls []string
	for _, l := range strings.Split(string(out), "\n") {
		if l != "" && !restless.MatchString(l) {
			ls = append(ls, l)
		}
	}
	return ls
}

func sockets(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, l := range lines(t, "ss", "-Hltnu") {
		f := strings.Fields(l)
		out = append(out, f[0]+" "+f[4])
	}
	return out
}

func networkNamespaces() []string {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	seen := map[string]bool{}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil {
			seen[target] = true
		}
	}
	names, _ := filepath.Glob("/run/netns/*")
	out := append([]string{}, names...)
	for n := range seen {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// directories lists what lies right below the places where servers like to leave things.
func directories() []string {
	var out []string
	for _, dir := range []string{"/var/lib", "/var/log", "/run", "/etc", "/opt", "/usr/libexec", "/root", "/usr/sbin"} {
		found, _ := filepath.Glob(dir + "/*")
		out = append(out, found...)
	}
	sort.Strings(out)
	return out
}
