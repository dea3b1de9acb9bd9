package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/pki"
	"sluice/testsuite/checker"
	"sluice/workflows/upgrade"
)

// ArmAgent tells the agent of a generation (a test build) to strike once at an
// effect.
func (w *World) ArmAgent(generation int, effect, at, action string) {
	w.T.Helper()
	ctx := context.Background()
	name := fmt.Sprintf("%s-g%d", w.Name, generation)
	service, err := w.Kube.CoreV1().Services(w.Tenant).Get(ctx, name+"-client", meta.GetOptions{})
	require.NoError(w.T, err)
	fault, err := json.Marshal(map[string]string{"effect": effect, "at": at, "action": action})
	require.NoError(w.T, err)
	host := service.Spec.ClusterIP
	if host == "None" || host == "" {
		pods, err := w.Kube.CoreV1().Pods(w.Tenant).List(ctx, meta.ListOptions{LabelSelector: w.Selector(generation, "client")})
		require.NoError(w.T, err)
		require.NotEmpty(w.T, pods.Items)
		host = pods.Items[0].Status.PodIP
	}
	url := fmt.Sprintf("https://%s:%d/faults", host, agentapi.Port)
	doors, err := w.Authority().Client(pki.Worker)
	require.NoError(w.T, err)
	doors.ServerName = agentapi.Host(w.identity(), generation)
	client := agentapi.NewClient(doors).HTTP
	uid := w.UID()
	w.Until("the agent takes the fault", 30*time.Second, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(fault))
		require.NoError(w.T, err)
		request.Header.Set(agentapi.JobHeader, uid)
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusNoContent
	})
	w.Say("armed: %s %s %s in the agent of generation %d", action, at, effect, generation)
}

// Authority is the platform's, from its Secret: who has it can be the worker.
func (w *World) Authority() *pki.Authority {
	w.T.Helper()
	secret, err := w.Kube.CoreV1().Secrets("sluice-system").Get(context.Background(), "sluice-authority", meta.GetOptions{})
	require.NoError(w.T, err)
	pair := pki.Pair{Certificate: secret.Data["tls.crt"], Key: secret.Data["tls.key"]}
	authority, err := pki.NewAuthority(pair, pair.Certificate)
	require.NoError(w.T, err)
	return authority
}

func (w *World) identity() job.Identity {
	return job.Identity{Ref: job.Ref{Tenant: w.Tenant, Name: w.Name}, Namespace: w.Tenant}
}

// Selector finds a role's pods of a generation.
func (w *World) Selector(generation int, component string) string {
	return fmt.Sprintf("sluice.io/job=%s,sluice.io/generation=%d,app.kubernetes.io/component=%s", w.Name, generation, component)
}

// Restarts counts the container restarts of a generation's role.
func (w *World) Restarts(generation int, component string) int32 {
	w.T.Helper()
	pods, err := w.Kube.CoreV1().Pods(w.Tenant).List(context.Background(), meta.ListOptions{LabelSelector: w.Selector(generation, component)})
	require.NoError(w.T, err)
	var restarts int32
	for _, pod := range pods.Items {
		for _, c := range pod.Status.ContainerStatuses {
			restarts += c.RestartCount
		}
	}
	return restarts
}

// Image is what a role of a generation runs.
func (w *World) Image(generation int, component string) string {
	w.T.Helper()
	pods := w.pods(generation, component)
	require.NotEmpty(w.T, pods)
	return pods[0].Spec.Containers[0].Image
}

// Replace deletes a role's pods, as a drained node would, and waits for others.
func (w *World) Replace(generation int, component string) {
	w.T.Helper()
	gone := map[types.UID]bool{}
	for _, pod := range w.pods(generation, component) {
		gone[pod.UID] = true
		require.NoError(w.T, w.Kube.CoreV1().Pods(w.Tenant).Delete(context.Background(), pod.Name, meta.DeleteOptions{}))
	}
	w.Until("other pods that are ready", time.Minute, func() bool {
		ready := 0
		for _, pod := range w.pods(generation, component) {
			if !gone[pod.UID] && slices.ContainsFunc(pod.Status.Conditions, func(c core.PodCondition) bool {
				return c.Type == core.PodReady && c.Status == core.ConditionTrue
			}) {
				ready++
			}
		}
		return ready == len(gone)
	})
	w.Say("the %s of generation %d came again", component, generation)
}

// ForceDelete deletes a role's pods without asking their kubelet.
func (w *World) ForceDelete(generation int, component string) {
	w.T.Helper()
	now := int64(0)
	for _, pod := range w.pods(generation, component) {
		require.NoError(w.T, w.Kube.CoreV1().Pods(w.Tenant).Delete(context.Background(), pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now}))
	}
	w.Say("the %s of generation %d were force-deleted", component, generation)
}

func (w *World) pods(generation int, component string) []core.Pod {
	w.T.Helper()
	pods, err := w.Kube.CoreV1().Pods(w.Tenant).List(context.Background(), meta.ListOptions{LabelSelector: w.Selector(generation, component)})
	require.NoError(w.T, err)
	return pods.Items
}

// AgentSize is what the agent of a generation takes on disk and in memory, in MB.
func (w *World) AgentSize(generation int) (disk, resident float64) {
	w.T.Helper()
	for _, pid := range w.Processes(w.Tenant, w.Selector(generation, "client")) {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		require.NoError(w.T, err)
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		require.NoError(w.T, err)
		var size, pages float64
		_, err = fmt.Sscan(string(statm), &size, &pages)
		require.NoError(w.T, err)
		disk = max(disk, float64(info.Size())/1e6)
		resident = max(resident, pages*float64(os.Getpagesize())/1e6)
	}
	return disk, resident
}

// Detail is the detail of the last step of a name.
func Detail(p upgrade.Progress, step string) string {
	detail := ""
	for _, s := range p.Steps {
		if s.Name == step {
			detail = s.Detail
		}
	}
	return detail
}

// OpenJar opens a built jar.
func (w *World) OpenJar(name string) io.Reader {
	w.T.Helper()
	file, err := os.Open(w.Jar(name))
	require.NoError(w.T, err)
	w.T.Cleanup(func() { _ = file.Close() })
	return file
}

// PlantArtifact writes a file onto HDFS whose content isn't what its name says,
// as a broken disk or a hand would.
func (w *World) PlantArtifact(jar string) string {
	w.T.Helper()
	content, err := os.ReadFile(jar)
	require.NoError(w.T, err)
	sum := sha256.Sum256([]byte(w.Name))
	digest := hex.EncodeToString(sum[:])
	path := job.ArtifactPath(w.Tenant, digest)
	// Flink's user may not write there; the platform's may.
	platform, err := checker.DialHDFS([]string{env(w.T, "SLUICE_HDFS")}, "sluice", 20*time.Second)
	require.NoError(w.T, err)
	defer func() { _ = platform.Close() }()
	file, err := platform.Create(path)
	require.NoError(w.T, err)
	_, err = file.Write(content)
	require.NoError(w.T, err)
	w.Until("the planted file is closed", 20*time.Second, func() bool { return file.Close() == nil })
	return "sha256:" + digest
}

// LockSavepoints keeps Flink's user from writing savepoints of the job, until
// the returned function is called.
func (w *World) LockSavepoints() (mend func()) {
	w.T.Helper()
	platform, err := checker.DialHDFS([]string{env(w.T, "SLUICE_HDFS")}, "sluice", 20*time.Second)
	require.NoError(w.T, err)
	w.T.Cleanup(func() { _ = platform.Close() })
	directory := job.Directory(w.UID()) + "/savepoints"
	require.NoError(w.T, platform.Chmod(directory, 0o700))
	w.Say("HDFS: nobody but the platform may write %s", directory)
	return func() { require.NoError(w.T, platform.Chmod(directory, 0o770)) }
}

// Exists says whether a generation's root is there.
func (w *World) Exists(generation int) bool {
	w.T.Helper()
	_, err := w.Kube.CoreV1().ConfigMaps(w.Tenant).Get(context.Background(), fmt.Sprintf("%s-g%d", w.Name, generation), meta.GetOptions{})
	return err == nil
}
