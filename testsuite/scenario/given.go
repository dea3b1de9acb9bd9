package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
)

// Version describes one revision of the counter job.
type Version struct {
	Jar    string   // file name of the built jar
	Rate   int      // records a second; 0: 200
	Extra  []string // further arguments
	Digest string   // instead of pushing Jar
	Engine string   // version of Flink; "": 1.20.5
	// Options of Flink beside the interval.
	Options map[string]string
	// Interval between checkpoints; "": 2 s.
	Interval string
	Secrets  []job.Secret
	Entry    string   // main class; "": the counter's
	Depends  []string // dependencies: file names of built jars, or digests
	Args     []string // instead of the counter's
	Kafka    *job.Kafka
}

// The two versions that stories upgrade between.
var (
	V1 = Version{Jar: "counter-v1.jar"}
	V2 = Version{Jar: "counter-v2.jar"}
)

// With adds arguments.
func (v Version) With(extra ...string) Version {
	v.Extra = append(append([]string{}, v.Extra...), extra...)
	return v
}

// On is the same on another version of Flink.
func (v Version) On(flink string) Version {
	v.Engine = flink
	return v
}

// Small is the profile of all stories: two generations and the platform fit
// onto a machine of two cores.
var Small = job.Profile{
	Name:        "small",
	JobManager:  job.Role{CPU: "100m", MemoryMiB: 768, JVM: job.QuickStart},
	TaskManager: job.TaskManager{Role: job.Role{CPU: "100m", MemoryMiB: 896, JVM: job.QuickStart}, Replicas: 1, Slots: 2},
	Parallelism: 2,
}

// Wide is Small with twice the TaskManagers and parallelism.
var Wide = job.Profile{
	Name:        "wide",
	JobManager:  Small.JobManager,
	TaskManager: job.TaskManager{Role: Small.TaskManager.Role, Replicas: 2, Slots: 2},
	Parallelism: 4,
}

// Single is Small with parallelism 1: the program's own 1 and the profile's are the
// same.
var Single = job.Profile{Name: "single", JobManager: Small.JobManager, TaskManager: Small.TaskManager, Parallelism: 1}

// Push stores a jar and gives its digest.
func (w *World) Push(jar string) string {
	w.T.Helper()
	content, err := os.ReadFile(w.Jar(jar))
	require.NoError(w.T, err)
	sum := sha256.Sum256(content)
	file, err := os.Open(w.Jar(jar))
	require.NoError(w.T, err)
	defer func() { _ = file.Close() }()
	a := w.Call(http.MethodPost, "/artifacts", file, "Content-Type", "application/java-archive")
	require.Contains(w.T, []int{http.StatusOK, http.StatusCreated}, a.Status, string(a.Body))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Profile puts a profile.
func (w *World) Profile(p job.Profile) {
	w.T.Helper()
	a := w.Call(http.MethodPut, "/profiles/"+p.Name, map[string]any{
		"jobManager": p.JobManager, "taskManager": p.TaskManager, "parallelism": p.Parallelism,
	})
	require.Contains(w.T, []int{http.StatusOK, http.StatusCreated}, a.Status, string(a.Body))
}

// Apply puts a version as the job's newest revision and gives its number.
func (w *World) Apply(v Version) int {
	w.T.Helper()
	digest := v.Digest
	if digest == "" {
		digest = w.Push(v.Jar)
	}
	body := map[string]any{"site": "dc1", "spec": w.Spec(v, digest)}
	w.Profile(Small)
	a := w.Call(http.MethodPut, "/jobs/"+w.Name, body)
	require.Contains(w.T, []int{http.StatusOK, http.StatusCreated}, a.Status, string(a.Body))
	number := w.newest()
	on := ""
	if v.Engine != "" {
		on = " on Flink " + v.Engine
	}
	w.Say("applied %s%s as revision %d of %s/%s", v.Jar, on, number, w.Tenant, w.Name)
	return number
}

func (w *World) newest() int {
	w.T.Helper()
	var list struct {
		Items []struct {
			Number int `json:"number"`
		} `json:"items"`
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name+"/revisions", nil, &list)
	newest := 0
	for _, r := range list.Items {
		newest = max(newest, r.Number)
	}
	require.NotZero(w.T, newest, fmt.Sprintf("%+v", list))
	return newest
}

// Spec is a version as a revision's body.
func (w *World) Spec(v Version, artifact string) job.Spec {
	w.T.Helper()
	rate := v.Rate
	if rate == 0 {
		rate = 200
	}
	interval := v.Interval
	if interval == "" {
		interval = "2 s"
	}
	engine := job.Engine{Name: "flink", Version: "1.20.5"}
	if v.Engine != "" {
		engine.Version = v.Engine
	}
	options := map[string]string{"execution.checkpointing.interval": interval}
	maps.Copy(options, v.Options)
	hdfs := w.URI("")
	entry := v.Entry
	if entry == "" {
		entry = "io.sluice.jobs.Counter"
	}
	var dependencies []string
	for _, dependency := range v.Depends {
		if !strings.HasPrefix(dependency, "sha256:") {
			dependency = w.Push(dependency)
		}
		dependencies = append(dependencies, dependency)
	}
	arguments := v.Args
	if arguments == nil {
		arguments = []string{"--output", hdfs + w.Output(), "--trace", hdfs + w.Trace(), "--rate", strconv.Itoa(rate)}
	}
	return job.Spec{
		Engine: engine, Artifact: artifact, EntryClass: entry, Dependencies: dependencies, Kafka: v.Kafka,
		Arguments: append(slices.Clone(arguments), v.Extra...),
		Options:   options,
		Secrets:   v.Secrets,
	}
}
