//go:build contract

package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/flink/flinktest"
	"sluice/internal/hdfs"
	"sluice/internal/job"
	"sluice/internal/lease"
	"sluice/internal/pki"
	"sluice/internal/pki/pkitest"
)

// TestMain starts the Flink that SLUICE_FLINK doesn't name.
func TestMain(m *testing.M) { flinktest.Main(m, "..") }

// These tests run the agent against a real Flink session cluster (two slots or
// more, checkpoints every few seconds on HDFS and retained), a real HDFS at
// SLUICE_HDFS and a real API server (KUBECONFIG). The
// JobManager's pod is an object that no node runs: the test says which container
// it claims to be.

type world struct {
	t         *testing.T
	authority *pki.Authority
	config    Config
	address   string
	stop      func()
	hdfs      *hdfs.Client
	flink     *flink.Client
	lease     lease.Client
	key       lease.Key
	artifact  string
	uri       string
	uid       string
	operation string
}

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	require.NotEmpty(t, value, "set %s", name)
	return value
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := clientcmd.BuildConfigFromFlags("", env(t, "KUBECONFIG"))
	require.NoError(t, err)
	w := &world{t: t, uid: ulid.Make().String(), uri: "hdfs://" + env(t, "SLUICE_HDFS")}
	name := "agent-" + strings.ToLower(w.uid[16:])
	w.config = Config{
		Assignment: agentapi.Assignment{
			JobUID: w.uid, Tenant: "shop", Job: name, Namespace: "default", Site: "dc1", Generation: 1,
			JobManagerURL: env(t, "SLUICE_FLINK"), HDFSURI: w.uri, PrimerJar: env(t, "SLUICE_PRIMER"), Listen: "127.0.0.1:0",
			HDFS: agentapi.HDFS{NameNodes: []string{env(t, "SLUICE_HDFS")}, User: "sluice"},
		},
		Flink:  flinktest.Doors(),
		PodUID: "pod-of-the-agent", Scratch: t.TempDir(),
	}
	w.authority = pkitest.Authority(t)
	own, err := w.authority.Issue(pki.AgentOf(w.uid, 1), "127.0.0.1")
	require.NoError(t, err)
	w.config.Doors, err = pki.Server(own, w.authority.Trust(), pki.Worker, pki.API)
	require.NoError(t, err)
	require.NoError(t, w.config.connect(cluster))
	w.key = lease.Key{Namespace: "default", Name: name, JobUID: w.uid}
	w.lease = lease.Client{API: w.config.Leases}
	require.NoError(t, w.lease.Create(t.Context(), w.key, nil))
	t.Cleanup(func() { _ = w.config.Leases.Leases("default").Delete(context.Background(), name, meta.DeleteOptions{}) })
	w.flink = flink.New(w.config.Assignment.JobManagerURL, flink.NewTransport(flinktest.Doors()))

	w.hdfs, err = hdfs.New(hdfs.Config{Addresses: w.config.Assignment.HDFS.NameNodes, User: "sluice"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.hdfs.Close() })
	require.NoError(t, w.hdfs.MakeJobDirectories(t.Context(), w.uid))
	mine, flinks := rawHDFS(t, "sluice"), rawHDFS(t, "flink")
	t.Cleanup(func() { _ = mine.RemoveAll(job.Directory(w.uid)); _ = flinks.RemoveAll("/data/" + w.uid) })
	jar, err := os.ReadFile(env(t, "SLUICE_JOB_JAR"))
	require.NoError(t, err)
	stored, err := w.hdfs.Put(t.Context(), "shop", bytes.NewReader(jar), hdfs.PutOptions{Check: hdfs.CheckJar})
	require.NoError(t, err)
	w.artifact = stored.Digest

	w.pod("jobmanager")
	w.claim("containerd://first")
	w.begin()
	w.swap(func(s lease.State) (lease.State, error) { s, _ = s.Reserve(w.operation); return s, nil })
	w.start()
	return w
}

// pod makes the object that stands for a role's.
func (w *world) pod(role string) {
	w.t.Helper()
	ctx := context.Background()
	a := w.config.Assignment
	pods := w.config.Pods.Pods("default")
	name := a.Job + "-g1-" + role + "-x"
	_, err := pods.Create(ctx, &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
			labelJob: a.Job, labelGeneration: "1", labelComponent: role,
		}},
		Spec: core.PodSpec{SchedulerName: "nobody", Containers: []core.Container{{Name: role, Image: "none"}}},
	}, meta.CreateOptions{})
	require.NoError(w.t, err)
	zero := int64(0)
	w.t.Cleanup(func() { _ = pods.Delete(ctx, name, meta.DeleteOptions{GracePeriodSeconds: &zero}) })
}

// jobManagerUID is the uid of the pod that stands for the JobManager.
func (w *world) jobManagerUID() string {
	w.t.Helper()
	pod, err := w.config.Pods.Pods("default").Get(context.Background(), w.config.Assignment.Job+"-g1-jobmanager-x", meta.GetOptions{})
	require.NoError(w.t, err)
	return string(pod.UID)
}

// claim changes which container the JobManager is.
func (w *world) claim(container string) {
	w.t.Helper()
	w.report("jobmanager", container, core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: meta.Now()}})
}

// report is the kubelet's word about a role's container.
func (w *world) report(role, container string, state core.ContainerState) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"status": core.PodStatus{
		Phase:             core.PodRunning,
		ContainerStatuses: []core.ContainerStatus{{Name: role, ContainerID: container, State: state}},
	}})
	require.NoError(w.t, err)
	_, err = w.config.Pods.Pods("default").Patch(context.Background(), w.config.Assignment.Job+"-g1-"+role+"-x", types.MergePatchType, patch, meta.PatchOptions{}, "status")
	require.NoError(w.t, err)
}

// start runs an agent process; a second one replaces the first.
func (w *world) start() {
	w.t.Helper()
	if w.stop != nil {
		w.stop()
	}
	a, err := New(w.config)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(w.t, <-ended)
			_ = a.Close()
		}
	}
	w.t.Cleanup(w.stop)
	w.address = a.Address()
}

// client is the worker's.
func (w *world) client() *agentapi.Client {
	w.t.Helper()
	doors, err := w.authority.Client(pki.Worker)
	require.NoError(w.t, err)
	return agentapi.NewClient(doors)
}

func (w *world) endpoint() agentapi.Endpoint {
	return agentapi.Endpoint{URL: "https://" + w.address, JobUID: w.uid}
}

// begin is a new operation.
func (w *world) begin() { w.operation = ulid.Make().String() }

func (w *world) swap(decide func(lease.State) (lease.State, error)) lease.State {
	w.t.Helper()
	state, err := w.lease.Update(context.Background(), w.key, decide)
	require.NoError(w.t, err)
	return state
}

func (w *world) state() lease.State {
	w.t.Helper()
	state, err := w.lease.Get(context.Background(), w.key)
	require.NoError(w.t, err)
	return state
}

// hold places the operation's hold and makes generation 1 active.
func (w *world) hold() {
	w.t.Helper()
	w.swap(func(s lease.State) (lease.State, error) { return s.Place(w.operation, "now", s.Released) })
	if w.state().ActiveGeneration() != 1 {
		w.swap(func(s lease.State) (lease.State, error) { return s.Move(w.operation, 1) })
	}
}

func (w *world) release() {
	w.t.Helper()
	w.swap(func(s lease.State) (lease.State, error) { return s.Release(w.operation, "ordinary") })
}

func (w *world) command(kind agentapi.Kind, step string) agentapi.Command {
	return agentapi.Command{
		ID: w.operation + "-" + step, Kind: kind, Operation: w.operation, Generation: 1, Epoch: w.state().Epoch,
	}
}

func run[Out any](w *world, c agentapi.Command) (Out, error) {
	w.t.Helper()
	started := time.Now()
	var last string
	out, err := agentapi.Run[Out](w.t.Context(), w.client(), w.endpoint(), c, func(s agentapi.Status) { last = s.Progress })
	w.t.Logf("%-12s %6d ms  %+v %v %s", c.Kind, time.Since(started).Milliseconds(), out, err, last)
	return out, err
}

func must[Out any](w *world, c agentapi.Command) Out {
	w.t.Helper()
	out, err := run[Out](w, c)
	require.NoError(w.t, err)
	return out
}

func (w *world) spec(arguments ...string) job.Spec {
	data := w.uri + "/data/" + w.uid
	return job.Spec{
		Engine: job.Engine{Name: "flink", Version: "1.20.5"}, Artifact: w.artifact, EntryClass: "io.sluice.jobs.Counter",
		Arguments: append([]string{"--output", data + "/output", "--trace", data + "/trace"}, arguments...),
	}
}

func (w *world) submitCommand(restore string, spec job.Spec) agentapi.Command {
	c := w.command(agentapi.Submit, "submit")
	epoch := c.Epoch + 1
	c.ID += "-" + spec.Digest()[7:15]
	c.Submit = &agentapi.SubmitIn{
		Epoch: epoch, FlinkJobID: job.FlinkJobID(w.uid, epoch), RestorePath: restore, Spec: spec, Parallelism: 2, Tenant: "shop",
	}
	w.t.Cleanup(func() { w.end(c.Submit.FlinkJobID) })
	return c
}

// end cancels a job and waits for its end: its files go next, and a task that
// can't close one while it is canceled takes its TaskManager along.
func (w *world) end(id string) {
	w.t.Helper()
	_ = w.flink.Cancel(context.Background(), id)
	assert.Eventually(w.t, func() bool {
		found, err := w.flink.Job(context.Background(), id)
		return code(err) == failure.NotFound || err == nil && found.Terminal()
	}, 20*time.Second, 20*time.Millisecond, "job %s goes on", id)
}

func (w *world) stopCommand(step string) agentapi.Command {
	c := w.command(agentapi.Stop, step)
	c.Stop = &agentapi.StopIn{
		FlinkJobID: w.state().Intent.FlinkJobID, TriggerID: job.TriggerID(w.operation, step, 1),
		Directory: w.uri + job.SavepointDirectory(w.uid, w.operation, step, 1), Format: "NATIVE",
	}
	return c
}

func (w *world) awaitCommand(restore string) agentapi.Command {
	c := w.command(agentapi.Await, "await")
	c.Await = &agentapi.AwaitIn{FlinkJobID: w.state().Intent.FlinkJobID, RestorePath: restore, Parallelism: 2}
	return c
}

func code(err error) failure.Code { return failure.CodeOf(err) }

// From an empty cluster over a first submission to a stop and a submission from
// its savepoint, with the agent killed and started anew in between.
func TestLife(t *testing.T) {
	w := newWorld(t)

	prepare := w.command(agentapi.Prepare, "prepare")
	prepare.Prepare = &agentapi.PrepareIn{Slots: 2, Spec: w.spec(), Parallelism: 2, Prime: true, Try: 1, Tenant: "shop", Operators: true}
	prepared := must[agentapi.PrepareOut](w, prepare)
	require.Len(t, prepared.Vertices, 2)
	require.GreaterOrEqual(t, prepared.Registered, 2)
	require.Subset(t, keys(prepared.Durations), []string{"jobmanager", "slots", "fetch", "upload", "plan", "primer"})
	w.start()
	again := must[agentapi.PrepareOut](w, prepare)
	require.Equal(t, prepared.Vertices, again.Vertices)

	submit := w.submitCommand("", w.spec())
	_, err := run[agentapi.SubmitOut](w, submit)
	require.Equal(t, failure.Refused, code(err), "nobody holds the Lease")
	w.hold()
	submit.ID += "-held"
	acknowledged := must[agentapi.AcknowledgeOut](w, w.command(agentapi.Acknowledge, "acknowledge"))
	require.Equal(t, w.config.PodUID, acknowledged.PodUID)
	require.Equal(t, w.config.PodUID, w.state().Hold.AcknowledgedBy)

	submitted := must[agentapi.SubmitOut](w, submit)
	require.False(t, submitted.Duplicate)
	intent := w.state().Intent
	require.Equal(t, lease.Accepted, intent.Outcome)
	require.Equal(t, "containerd://first", intent.JobManagerContainerID)
	w.start()
	require.True(t, must[agentapi.SubmitOut](w, submit).Duplicate)

	await := must[agentapi.AwaitOut](w, w.awaitCommand(""))
	require.Len(t, await.Vertices, 2)
	require.NotZero(t, await.RunningAt)

	checkpoint := w.command(agentapi.Checkpoint, "checkpoint")
	checkpoint.Checkpoint = &agentapi.CheckpointIn{FlinkJobID: intent.FlinkJobID, TriggerID: job.TriggerID(w.operation, "checkpoint", 1), Directory: w.uri + "/sluice/elsewhere"}
	_, err = run[agentapi.CheckpointOut](w, checkpoint)
	require.Equal(t, failure.Refused, code(err), "it lies elsewhere")
	taken, err := w.flink.Checkpoints(t.Context(), intent.FlinkJobID)
	require.NoError(t, err)
	checkpoint.ID += "-2"
	checkpoint.Checkpoint = &agentapi.CheckpointIn{FlinkJobID: intent.FlinkJobID, TriggerID: job.TriggerID(w.operation, "checkpoint", 2), Directory: path.Dir(path.Dir(taken.External))}
	checkpoint.Checkpoint.Directory = strings.Replace(checkpoint.Checkpoint.Directory, "hdfs:/", "hdfs://", 1)
	require.Greater(t, must[agentapi.CheckpointOut](w, checkpoint).CheckpointID, int64(0))

	soak := w.command(agentapi.Soak, "soak")
	soak.Soak = &agentapi.SoakIn{FlinkJobID: intent.FlinkJobID, Seconds: 2, Since: await.Traces}
	must[agentapi.SoakOut](w, soak)
	w.release()

	w.begin()
	savepoint := w.stopCommand("savepoint")
	savepoint.Kind, savepoint.Savepoint, savepoint.Stop = agentapi.Savepoint, savepoint.Stop, nil
	saved := must[agentapi.SavepointOut](w, savepoint)
	require.Equal(t, flink.Running, saved.JobState)
	w.verify(saved.Savepoint)
	w.holds(saved.Savepoint, prepared.Operators)

	w.begin()
	w.hold()
	other := w.command(agentapi.Acknowledge, "other")
	other.Operation = "another"
	_, err = run[agentapi.AcknowledgeOut](w, other)
	require.Equal(t, failure.Refused, code(err), "held by another operation")
	old := w.command(agentapi.Acknowledge, "old")
	old.Epoch--
	_, err = run[agentapi.AcknowledgeOut](w, old)
	require.Equal(t, failure.Refused, code(err), "older epoch")
	future := w.command(agentapi.Acknowledge, "future")
	future.Epoch++
	_, err = run[agentapi.AcknowledgeOut](w, future)
	require.Equal(t, failure.Refused, code(err), "the Lease went back")
	foreign := w.command(agentapi.Acknowledge, "foreign")
	foreign.Generation = 2
	_, err = run[agentapi.AcknowledgeOut](w, foreign)
	require.Equal(t, failure.Refused, code(err), "another generation's")

	stop := w.stopCommand("stop")
	stopped := must[agentapi.StopOut](w, stop)
	require.Equal(t, flink.Finished, stopped.JobState)
	require.True(t, strings.HasPrefix(stopped.Savepoint, stop.Stop.Directory+"/"))
	require.Equal(t, lease.Finished, w.state().Intent.Outcome)
	require.Equal(t, stop.Stop.TriggerID, w.state().Hold.Stop.TriggerID)
	w.verify(stopped.Savepoint)
	w.start()
	require.Equal(t, stopped.Savepoint, must[agentapi.StopOut](w, stop).Savepoint, "a repeat makes no second savepoint")
	require.Len(t, w.savepoints(stop.Stop.Directory), 1)

	forgotten := w.stopCommand("stop") // as if Flink had forgotten the trigger
	forgotten.ID += "-forgotten"
	forgotten.Stop.TriggerID = job.TriggerID(w.operation, "never-sent", 1)
	found := must[agentapi.StopOut](w, forgotten)
	require.Equal(t, stopped.Savepoint, found.Savepoint, "found on HDFS")
	require.Equal(t, flink.Finished, found.JobState)

	restored := must[agentapi.SubmitOut](w, w.submitCommand(stopped.Savepoint, w.spec()))
	require.Equal(t, job.FlinkJobID(w.uid, 2), restored.FlinkJobID)
	mismatch := w.awaitCommand(saved.Savepoint)
	mismatch.ID += "-mismatch"
	_, err = run[agentapi.AwaitOut](w, mismatch)
	require.Equal(t, failure.Refused, code(err), "restored another path")
	resumed := must[agentapi.AwaitOut](w, w.awaitCommand(stopped.Savepoint))
	require.Equal(t, stopped.Savepoint, resumed.RestoredPath)
	require.EqualValues(t, 1, resumed.Traces.Restored)
	soak = w.command(agentapi.Soak, "soak")
	soak.Soak = &agentapi.SoakIn{FlinkJobID: restored.FlinkJobID, Seconds: 1, Since: resumed.Traces}
	must[agentapi.SoakOut](w, soak)
	seen, err := w.client().State(t.Context(), w.endpoint())
	require.NoError(t, err)
	require.Equal(t, flink.Running, seen.JobState)
}

func (w *world) verify(savepoint string) {
	w.t.Helper()
	found, err := w.hdfs.VerifyMetadata(w.t.Context(), savepoint)
	require.NoError(w.t, err)
	require.Positive(w.t, found.CheckpointID)
}

// savepoints are the entries of a try's own directory.
func (w *world) savepoints(directory string) []string {
	w.t.Helper()
	entries, err := rawHDFS(w.t, "sluice").ReadDir(strings.TrimPrefix(directory, w.uri))
	require.NoError(w.t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func keys(m map[string]int64) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

// What can't work is found out before the old job is touched.
func TestPrepareRefuses(t *testing.T) {
	w := newWorld(t)
	try := func(step string, spec job.Spec) error {
		c := w.command(agentapi.Prepare, step)
		c.Prepare = &agentapi.PrepareIn{Spec: spec, Parallelism: 2, Try: 1, Tenant: "shop"}
		_, err := run[agentapi.PrepareOut](w, c)
		return err
	}
	err := try("main", w.spec("--fail-in-main"))
	require.Equal(t, failure.Incompatible, code(err))
	require.ErrorContains(t, err, "this job fails in main, as asked by --fail-in-main")
	nowhere := w.spec()
	nowhere.EntryClass = "io.sluice.Nowhere"
	err = try("class", nowhere)
	require.Equal(t, failure.Incompatible, code(err))
	require.ErrorContains(t, err, "io.sluice.Nowhere")
	absent := w.spec()
	absent.Artifact = "sha256:" + strings.Repeat("0", 64)
	require.Equal(t, failure.NotFound, code(try("absent", absent)))

	damaged := w.spec() // stored under a digest that isn't its own
	damaged.Artifact = w.damagedArtifact()
	require.Equal(t, failure.Digest, code(try("damaged", damaged)))
	left, err := os.ReadDir(w.config.Scratch)
	require.NoError(t, err)
	require.Empty(t, left)
}

func (w *world) damagedArtifact() string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(w.uid))
	digits := hex.EncodeToString(sum[:])
	h := rawHDFS(w.t, "sluice")
	name := job.ArtifactPath("shop", digits)
	require.NoError(w.t, h.CreateEmptyFile(name))
	w.t.Cleanup(func() { _ = h.Remove(name) })
	return "sha256:" + digits
}

// A submission that Flink refuses ends on the Lease as what it was.
func TestSubmitRefused(t *testing.T) {
	w := newWorld(t)
	w.hold()
	_, err := run[agentapi.SubmitOut](w, w.submitCommand("", w.spec("--fail-in-main")))
	require.Equal(t, failure.Incompatible, code(err))
	require.ErrorContains(t, err, "fails in main")
	require.Equal(t, lease.Closed, w.state().Intent.Outcome)

	missing := w.uri + job.SavepointDirectory(w.uid, w.operation, "none", 1) + "/savepoint-1"
	submit := w.submitCommand(missing, w.spec())
	_, err = run[agentapi.SubmitOut](w, submit)
	if err == nil { // the adaptive scheduler takes it and fails then
		_, err = run[agentapi.AwaitOut](w, w.awaitCommand(missing))
	}
	require.Equal(t, failure.JobFailed, code(err))
	require.ErrorContains(t, err, missing)
	require.Equal(t, lease.Failed, w.state().Intent.Outcome)
	w.start()
	_, err = run[agentapi.SubmitOut](w, submit)
	require.Equal(t, failure.JobFailed, code(err), "it is over")
}

// A POST is repeated only to the JobManager that the intent names.
func TestSubmitToAnotherJobManager(t *testing.T) {
	w := newWorld(t)
	w.hold()
	submit := w.submitCommand("", w.spec())
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{
			Epoch: submit.Submit.Epoch, Generation: 1, Operation: w.operation, FlinkJobID: submit.Submit.FlinkJobID,
			JobManagerPodUID: "gone", JobManagerContainerID: "containerd://gone",
		})
	})
	_, err := run[agentapi.SubmitOut](w, submit)
	require.Equal(t, failure.Unproven, code(err))
	require.ErrorContains(t, err, "the JobManager that got this POST is gone")
	_, err = w.flink.Job(t.Context(), submit.Submit.FlinkJobID)
	require.Equal(t, failure.NotFound, code(err), "nothing was posted")
}

// A job that fails while it is watched or waited for is told with its exception.
func TestJobFails(t *testing.T) {
	w := newWorld(t)
	w.hold()
	must[agentapi.SubmitOut](w, w.submitCommand("", w.spec("--fail-after-seconds", "3")))
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	soak := w.command(agentapi.Soak, "soak")
	soak.Soak = &agentapi.SoakIn{FlinkJobID: w.state().Intent.FlinkJobID, Seconds: 60}
	_, err := run[agentapi.SoakOut](w, soak)
	require.Equal(t, failure.JobFailed, code(err))
	require.ErrorContains(t, err, "this operator fails")
	_, err = run[agentapi.SoakOut](w, soak)
	require.Equal(t, failure.JobFailed, code(err), "a verdict is not taken back by asking again")
}

// A soak that is begun anew, here by an agent that knows nothing of the first one,
// doesn't take the restart of the meantime for its beginning.
func TestSoakIsBegunAnewAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.hold()
	id := must[agentapi.SubmitOut](w, w.submitCommand("", w.spec("--fail-after-seconds", "5"))).FlinkJobID
	since := must[agentapi.AwaitOut](w, w.awaitCommand("")).Traces
	require.Eventually(t, func() bool {
		found, err := w.flink.Job(t.Context(), id)
		return err == nil && found.State == flink.Running && found.Timestamps[flink.Running] > since.Running
	}, 30*time.Second, 20*time.Millisecond)
	w.start()
	soak := w.command(agentapi.Soak, "soak")
	soak.Soak = &agentapi.SoakIn{FlinkJobID: id, Seconds: 1, Since: since}
	_, err := run[agentapi.SoakOut](w, soak)
	require.Equal(t, failure.JobFailed, code(err))
	require.ErrorContains(t, err, "the job restarted while it was watched: ")
}

// Answers that get lost on the way: the same POST goes again, with the same id,
// and Flink has one job and one savepoint.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t)
	lossy := newLossy(t, w.config.Assignment.JobManagerURL)
	w.config.Assignment.JobManagerURL = lossy.url
	w.start()
	w.hold()
	lossy.lose(http.MethodPost, "/run", 2)
	submit := w.submitCommand("", w.spec())
	require.True(t, must[agentapi.SubmitOut](w, submit).Duplicate)
	require.Equal(t, lease.Accepted, w.state().Intent.Outcome)
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	w.release()

	w.begin()
	w.hold()
	lossy.lose(http.MethodPost, "/stop", 2)
	lossy.lose(http.MethodGet, "/savepoints/", 2)
	lossy.lose(http.MethodGet, "/jobs/", 2)
	stop := w.stopCommand("stop")
	stopped := must[agentapi.StopOut](w, stop)
	require.Equal(t, flink.Finished, stopped.JobState)
	require.Len(t, w.savepoints(stop.Stop.Directory), 1)
	require.Zero(t, lossy.left())

	// Refused after an answer was lost: the first POST might still work, so
	// nothing is concluded.
	lossy.lose(http.MethodPost, "/run", 1)
	refused := w.submitCommand("", w.spec("--fail-in-main"))
	_, err := run[agentapi.SubmitOut](w, refused)
	require.Equal(t, failure.Unknown, code(err))
	require.Equal(t, lease.Open, w.state().Intent.Outcome)
}

// A JobManager that knows neither trigger nor job proves nothing.
func TestStopOfAForgottenJob(t *testing.T) {
	w := newWorld(t)
	w.hold()
	id := job.FlinkJobID(w.uid, 1)
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{Epoch: 1, Generation: 1, Operation: w.operation, FlinkJobID: id, JobManagerPodUID: "p", JobManagerContainerID: "c"})
	})
	_, err := run[agentapi.StopOut](w, w.stopCommand("stop"))
	require.Equal(t, failure.Unknown, code(err))
	require.Equal(t, lease.Open, w.state().Intent.Outcome)
}

// A stop whose end stands on the Lease is over, whatever the JobManager of today
// knows: the node may have restarted between the end and its telling.
func TestAStopThatIsOverIsNotAskedAgain(t *testing.T) {
	w := newWorld(t)
	w.hold()
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{Epoch: 1, Generation: 1, Operation: w.operation, FlinkJobID: job.FlinkJobID(w.uid, 1), JobManagerPodUID: "p", JobManagerContainerID: "c"})
	})
	stop := w.stopCommand("stop")
	w.swap(func(s lease.State) (lease.State, error) {
		s, err := s.Stopping(w.operation, lease.StopSent{FlinkJobID: stop.Stop.FlinkJobID, TriggerID: stop.Stop.TriggerID, Directory: stop.Stop.Directory})
		require.NoError(t, err)
		return s.Record(1, lease.Finished, "hdfs://nn/sp")
	})
	require.Equal(t, agentapi.StopOut{Savepoint: "hdfs://nn/sp", JobState: flink.Finished}, must[agentapi.StopOut](w, stop))
}

// A job that this JobManager doesn't know may still run in a TaskManager that it
// doesn't know either.
func TestIdleIsProven(t *testing.T) {
	w := newWorld(t)
	w.hold()
	w.swap(func(s lease.State) (lease.State, error) {
		return s.Intend(lease.Intent{Epoch: 1, Generation: 1, Operation: w.operation, FlinkJobID: job.FlinkJobID(w.uid, 1), JobManagerPodUID: "p", JobManagerContainerID: "c"})
	})
	look := func() agentapi.State {
		seen, err := w.client().State(t.Context(), w.endpoint())
		require.NoError(t, err)
		return seen
	}
	require.True(t, look().Idle)
	w.pod("taskmanager")
	require.True(t, look().Idle, "it is on no node")
	w.report("taskmanager", "containerd://tm", core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: meta.Now()}})
	require.False(t, look().Idle)
	w.report("taskmanager", "containerd://tm", core.ContainerState{Terminated: &core.ContainerStateTerminated{ExitCode: 1, ContainerID: "containerd://tm", FinishedAt: meta.Now()}})
	require.True(t, look().Idle)
}

// What a JobManager that hangs would say is unknown, in time for the caller.
func TestStateOfAFrozenJobManager(t *testing.T) {
	w := newWorld(t)
	w.hold()
	must[agentapi.SubmitOut](w, w.submitCommand("", w.spec()))
	lossy := newLossy(t, w.config.Assignment.JobManagerURL)
	w.config.Assignment.JobManagerURL = lossy.url
	w.start()
	for _, part := range []string{"/overview", "/jobs/"} {
		held := lossy.hold(part)
		defer close(held.release)
	}
	began := time.Now()
	state, err := w.client().State(t.Context(), w.endpoint())
	require.NoError(t, err)
	require.Less(t, time.Since(began), 12*time.Second)
	require.Equal(t, "UNKNOWN", state.JobState)
	require.NotEqual(t, "up", state.JobManager)
}

// A savepoint that can't be written leaves the job running.
func TestStopWithoutSavepoint(t *testing.T) {
	w := newWorld(t)
	w.hold()
	must[agentapi.SubmitOut](w, w.submitCommand("", w.spec()))
	must[agentapi.AwaitOut](w, w.awaitCommand(""))
	stop := w.stopCommand("stop")
	require.NoError(t, rawHDFS(t, "sluice").Mkdir(job.Directory(w.uid)+"/locked", 0o700))
	stop.Stop.Directory = w.uri + job.Directory(w.uid) + "/locked/try"
	stopped := must[agentapi.StopOut](w, stop)
	require.Empty(t, stopped.Savepoint)
	require.NotEmpty(t, stopped.Cause)
	require.Equal(t, flink.Running, stopped.JobState)
	require.Equal(t, lease.Accepted, w.state().Intent.Outcome)
}

// An acknowledgement waits for what is in flight.
func TestAcknowledgeWaits(t *testing.T) {
	w := newWorld(t)
	lossy := newLossy(t, w.config.Assignment.JobManagerURL)
	w.config.Assignment.JobManagerURL = lossy.url
	w.start()
	release := lossy.hold("/plan")
	prepare := w.command(agentapi.Prepare, "prepare")
	prepare.Prepare = &agentapi.PrepareIn{Spec: w.spec(), Parallelism: 2, Try: 1, Tenant: "shop"}
	prepared := make(chan error, 1)
	go func() {
		_, err := agentapi.Run[agentapi.PrepareOut](context.Background(), w.client(), w.endpoint(), prepare, nil)
		prepared <- err
	}()
	<-release.reached
	w.hold()
	acknowledged := make(chan error, 1)
	waiting := make(chan struct{})
	go func() {
		told := false
		_, err := agentapi.Run[agentapi.AcknowledgeOut](context.Background(), w.client(), w.endpoint(), w.command(agentapi.Acknowledge, "ack"), func(s agentapi.Status) {
			if !told && strings.Contains(s.Progress, prepare.ID) {
				told = true
				close(waiting)
			}
		})
		acknowledged <- err
	}()
	<-waiting
	require.Empty(t, w.state().Hold.AcknowledgedBy)
	close(release.release)
	require.NoError(t, <-prepared)
	require.NoError(t, <-acknowledged)
	require.Equal(t, w.config.PodUID, w.state().Hold.AcknowledgedBy)
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	call := func(doors *tls.Config, uid string) error {
		client := agentapi.NewClient(doors)
		_, err := client.State(t.Context(), agentapi.Endpoint{URL: w.endpoint().URL, JobUID: uid})
		return err
	}
	worker, err := w.authority.Client(pki.Worker)
	require.NoError(t, err)
	require.NoError(t, call(worker, w.uid))
	require.Equal(t, failure.Conflict, failure.CodeOf(call(worker, "01JD0000000000000000000OLD")), "another job of the same name")

	other, err := w.authority.Client(pki.AgentOf(w.uid, 2))
	require.NoError(t, err)
	require.ErrorContains(t, call(other, w.uid), "tls: ", "another agent's certificate is the platform's too")
	foreign, err := pkitest.Authority(t).Client(pki.Worker)
	require.NoError(t, err)
	foreign.RootCAs = worker.RootCAs
	require.ErrorContains(t, call(foreign, w.uid), "tls: ")
	none := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: worker.RootCAs}
	require.ErrorContains(t, call(none, w.uid), "tls: certificate required")
}
