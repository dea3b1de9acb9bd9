// Package scenario tells stories on the real servers: a Kubernetes, a Flink, an
// HDFS, a Temporal. Each story ends with the checker. It needs the environment
// that testsuite/platform prints.
//
// world.go is the outside; given.go, when.go and then.go are the words of a
// story; the stories are in *_test.go (build tag scenario).
package scenario

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/testsuite/checker"
)

// World is one job of one story on the real servers.
type World struct {
	T      *testing.T
	Tenant string
	Name   string
	server string
	token  string

	Kube     kubernetes.Interface
	Temporal client.Client
	HDFS     *hdfs.Client
	files    checker.Files
	began    time.Time
	last     string // operation
	home     string // the job whose output it continues; "": its own
	runs     []run
}

// run is one workflow run of the story.
type run struct {
	id   string
	kind job.Kind
}

// Given makes a fresh job name of a tenant; the job is removed from the cluster
// by the story's own last stop.
func Given(t *testing.T, tenant string) *World {
	t.Helper()
	story := strings.ToLower(strings.Trim(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()), "-"))
	story = strings.TrimPrefix(story, "test")
	suffix := strings.ToLower(ulid.Make().String()[20:])
	w := &World{T: t, Tenant: tenant, Name: "s-" + story[:min(len(story), 18)] + "-" + suffix, began: time.Now()}
	w.server, w.token = env(t, "SLUICE_SERVER"), os.Getenv("SLUICE_TOKEN")
	if w.token == "" {
		content, err := os.ReadFile(env(t, "SLUICE_TOKEN_FILE"))
		require.NoError(t, err)
		w.token = strings.TrimSpace(string(content))
	}
	w.Kube = cluster(t)
	var err error
	w.Temporal, err = client.Dial(client.Options{HostPort: env(t, "TEMPORAL_ADDRESS"), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(w.Temporal.Close)
	w.HDFS, err = checker.DialHDFS([]string{env(t, "SLUICE_HDFS")}, "flink", 20*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.HDFS.Close() })
	w.files = checker.HDFS(w.HDFS)
	t.Cleanup(w.explain)
	return w
}

func cluster(t *testing.T) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", env(t, "KUBECONFIG"))
	require.NoError(t, err)
	kube, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return kube
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	require.NotEmpty(t, value, "%s is not set: run through make scenario, or eval \"$(testsuite/platform/platform env)\"", name)
	return value
}

// Say prints one line of the story with its time.
func (w *World) Say(format string, args ...any) {
	w.T.Helper()
	story := strings.TrimPrefix(w.T.Name(), "TestScenario/")
	_, _ = fmt.Fprintf(os.Stdout, "  %-24.24s %6.1fs  %s\n", story, time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// Until waits for a condition on the outside; what is printed when it doesn't
// come. The condition runs in the test's own goroutine, so it may require.
func (w *World) Until(what string, limit time.Duration, condition func() bool) {
	w.T.Helper()
	w.poll(what, limit, 50*time.Millisecond, condition)
}

// UntilRead is Until for a condition that reads all of a job's output: it would
// keep the machine from the job.
func (w *World) UntilRead(what string, limit time.Duration, condition func() bool) {
	w.T.Helper()
	w.poll(what, limit, 500*time.Millisecond, condition)
}

func (w *World) poll(what string, limit, every time.Duration, condition func() bool) {
	w.T.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), every, limit, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	require.NoError(w.T, err, "waited %s for: %s", limit, what)
}

// UntilHas waits until a list that is read from outside has all that is wanted;
// it names what it still lacks when it doesn't come.
func (w *World) UntilHas(what string, limit time.Duration, wanted []string, read func() []string) {
	w.T.Helper()
	var has []string
	_ = wait.PollUntilContextTimeout(context.Background(), 200*time.Millisecond, limit, true, func(context.Context) (bool, error) {
		has = read()
		return !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(has, name) }), nil
	})
	require.Subset(w.T, has, wanted, "waited %s for: %s", limit, what)
}

// Output and Trace are the job's directories on HDFS.
func (w *World) Output() string { return "/data/scenario/" + cmp.Or(w.home, w.Name) + "/out" }

// Trace is where the job writes when it saw which number.
func (w *World) Trace() string { return "/data/scenario/" + cmp.Or(w.home, w.Name) + "/trace" }

// URI is the address of a path on HDFS.
func (w *World) URI(path string) string { return "hdfs://" + env(w.T, "SLUICE_HDFS") + path }

// Answer is an API answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Problem is an RFC 9457 body.
type Problem struct {
	Type    string            `json:"type"`
	Title   string            `json:"title"`
	Status  int               `json:"status"`
	Detail  string            `json:"detail"`
	Next    string            `json:"next"`
	Details map[string]string `json:"details"`
	Errors  []struct {
		Field  string `json:"field"`
		Reason string `json:"reason"`
	} `json:"errors"`
}

// Problem reads the answer as one.
func (a Answer) Problem(t *testing.T) Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", strings.Split(a.Header.Get("Content-Type"), ";")[0], string(a.Body))
	var p Problem
	require.NoError(t, json.Unmarshal(a.Body, &p))
	return p
}

// Call makes an API request below the tenant.
func (w *World) Call(method, path string, body any, header ...string) Answer {
	w.T.Helper()
	a, err := w.Try(method, path, body, header...)
	require.NoError(w.T, err)
	return a
}

// Try is Call for goroutines, which may not end a test.
func (w *World) Try(method, path string, body any, header ...string) (Answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		reader = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, w.server+"/v1/tenants/"+w.Tenant+path, reader)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	if reader != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, data}, err
}

// Want makes the request and requires a status; into gets the body.
func (w *World) Want(status int, method, path string, body, into any, header ...string) Answer {
	w.T.Helper()
	a := w.Call(method, path, body, header...)
	require.Equal(w.T, status, a.Status, "%s %s: %s", method, path, a.Body)
	if into != nil {
		require.NoError(w.T, json.Unmarshal(a.Body, into))
	}
	return a
}

// Jar is the path of a built jar: of the jobs, or "module/file".
func (w *World) Jar(name string) string {
	top := os.Getenv("SLUICE_TOP")
	if top == "" {
		top = "../.."
	}
	module, file, ok := strings.Cut(name, "/")
	if !ok {
		module, file = "jobs", name
	}
	return filepath.Join(top, "java", module, "target", file)
}

// UID is the job's uid, from the api.
func (w *World) UID() string {
	w.T.Helper()
	var found struct {
		UID string `json:"uid"`
	}
	w.Want(http.StatusOK, http.MethodGet, "/jobs/"+w.Name, nil, &found)
	return found.UID
}

// Lease reads the writer lease.
func (w *World) Lease() lease.State {
	w.T.Helper()
	state, err := lease.Client{API: w.Kube.CoordinationV1()}.Get(context.Background(), lease.Key{Namespace: w.Tenant, Name: w.Name, JobUID: w.UID()})
	require.NoError(w.T, err)
	return state
}

// Savepoints lists the complete savepoints of the job on HDFS.
func (w *World) Savepoints() []string {
	w.T.Helper()
	var found []string
	root := job.Directory(w.UID()) + "/savepoints"
	err := w.HDFS.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && info.Name() == "_metadata" {
			found = append(found, path)
		}
		return nil
	})
	if !os.IsNotExist(err) {
		require.NoError(w.T, err)
	}
	return found
}

// explain shows, when a story failed, what the platform knows.
func (w *World) explain() {
	if !w.T.Failed() || w.last == "" {
		return
	}
	a := w.Call(http.MethodGet, "/operations/"+w.last, nil)
	var pretty bytes.Buffer
	_ = json.Indent(&pretty, a.Body, "", "  ")
	w.T.Logf("job %s/%s, operation %s:\n%s", w.Tenant, w.Name, w.last, pretty.String())
	w.explainPods()
	w.Remove()
}

// explainPods shows the end of each container's log; what Remove takes away is
// all that tells why a job stood still.
func (w *World) explainPods() {
	const tail = 40
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pods, err := w.Kube.CoreV1().Pods(w.Tenant).List(ctx, meta.ListOptions{LabelSelector: "sluice.io/job=" + w.Name})
	if err != nil {
		w.T.Logf("the job's pods: %v", err)
		return
	}
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			text, err := w.Kube.CoreV1().Pods(w.Tenant).GetLogs(pod.Name, &core.PodLogOptions{Container: status.Name, TailLines: new(int64(tail))}).DoRaw(ctx)
			w.T.Logf("%s, container %s, %d restarts, the last %d lines of its log (%v):\n%s", pod.Name, status.Name, status.RestartCount, tail, err, text)
		}
	}
}

// Remove takes the clusters of a story away that doesn't end with a stop, so
// that the next one has room.
func (w *World) Remove() {
	ctx := context.Background()
	_ = w.Temporal.TerminateWorkflow(ctx, w.workflowID(), "", "the story failed")
	for generation := 1; generation <= 9; generation++ {
		_ = w.Kube.CoreV1().ConfigMaps(w.Tenant).Delete(ctx, fmt.Sprintf("%s-g%d", w.Name, generation), meta.DeleteOptions{})
	}
}
