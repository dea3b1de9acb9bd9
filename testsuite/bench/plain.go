// Package bench measures what an upgrade or a rescale costs a job: the time
// without a record, by the job's own trace, for Sluice and, alternating with it
// on the same stack, for a plain script that makes the same calls to Kubernetes
// and Flink with nothing around them: no durable workflow, no lease, no proof.
// Its figure is the floor; judge.go holds the two against each other.
package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sluice/internal/flink"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/manifest"
	"sluice/internal/pki"
)

// Plain upgrades one job by bare calls.
type Plain struct {
	Cluster   *kube.Cluster
	Identity  job.Identity
	Platform  manifest.Platform
	Profile   job.Profile
	Primer    string // path of the jar
	Jar       func(job.Spec) string
	HDFSURI   string // "hdfs://host:port"
	transport *flink.Client

	generation int
	jobID      string
	root       string
	rootUID    string
	keys       pki.Flink
}

// NewPlain makes a plain job; its uid is its own.
func NewPlain(cluster *kube.Cluster, ref job.Ref, namespace string) *Plain {
	return &Plain{Cluster: cluster, Identity: job.Identity{Ref: ref, UID: ulid.Make().String(), Site: "dc1", Namespace: namespace}}
}

// Timing is where an upgrade's time went, in ms.
type Timing struct {
	Prepare, Stop, Submit int64
}

// Start runs the job without state.
func (p *Plain) Start(ctx context.Context, spec job.Spec) error {
	client, jar, err := p.prepare(ctx, spec, true)
	if err != nil {
		return err
	}
	return p.submit(ctx, client, jar, spec, "")
}

// Upgrade changes the running job to spec.
func (p *Plain) Upgrade(ctx context.Context, spec job.Spec, strategy job.Strategy) (Timing, error) {
	var t Timing
	old, oldRoot, oldUID, oldGeneration := p.transport, p.root, p.rootUID, p.generation
	began := time.Now()
	client, jar, err := p.prepare(ctx, spec, strategy == job.Warm)
	if err != nil {
		return t, err
	}
	t.Prepare = time.Since(began).Milliseconds()
	began = time.Now()
	savepoint, err := p.stop(ctx, old)
	if err != nil {
		return t, err
	}
	t.Stop = time.Since(began).Milliseconds()
	began = time.Now()
	if strategy == job.Cold {
		if err := p.swapWorkers(ctx, spec, oldGeneration); err != nil {
			return t, err
		}
	}
	if err := p.submit(ctx, client, jar, spec, savepoint); err != nil {
		return t, err
	}
	t.Submit = time.Since(began).Milliseconds()
	return t, p.remove(ctx, oldRoot, oldUID)
}

// End stops the job with a savepoint and removes its cluster.
func (p *Plain) End(ctx context.Context) error {
	if _, err := p.stop(ctx, p.transport); err != nil {
		return err
	}
	return p.remove(ctx, p.root, p.rootUID)
}

func (p *Plain) input(spec job.Spec, generation int) manifest.Input {
	return manifest.Input{
		Identity: p.Identity, Operation: ulid.Make().String(), Generation: generation,
		Revision: job.Revision{Number: generation, Digest: spec.Digest(), Spec: spec}, Profile: p.Profile, Platform: p.Platform,
	}
}

// prepare makes the cluster, uploads, builds the job graph, primes.
func (p *Plain) prepare(ctx context.Context, spec job.Spec, workers bool) (*flink.Client, string, error) {
	p.generation++
	in := p.input(spec, p.generation)
	name := manifest.Of(p.Identity, p.generation)
	if err := p.apply(ctx, in, workers); err != nil {
		return nil, "", err
	}
	wanted := []string{name.Deployment(manifest.JobManager)}
	if workers {
		wanted = append(wanted, name.Deployment(manifest.TaskManager))
	}
	if _, err := p.Cluster.AwaitAvailable(ctx, kube.Wanted{
		Namespace: p.Identity.Namespace, Selector: manifest.GenerationSelector(name), Names: wanted, Since: time.Now(),
	}, func(string) {}); err != nil {
		return nil, "", err
	}
	client, err := p.connect(ctx, name)
	if err != nil {
		return nil, "", err
	}
	jar, err := upload(ctx, client, p.Jar(spec))
	if err != nil {
		return nil, "", err
	}
	if _, err := client.Plan(ctx, jar, p.program(spec)); err != nil {
		return nil, "", err
	}
	if workers {
		err = p.prime(ctx, client)
	}
	p.transport = client
	return client, jar, err
}

func (p *Plain) apply(ctx context.Context, in manifest.Input, workers bool) error {
	if err := p.Cluster.Apply(ctx, manifest.ManagerGeneration, in.Root()); err != nil {
		return err
	}
	root, err := p.Cluster.CoreV1().ConfigMaps(p.Identity.Namespace).Get(ctx, manifest.Of(p.Identity, in.Generation).Root(), meta.GetOptions{})
	if err != nil {
		return err
	}
	p.root, p.rootUID = root.Name, string(root.UID)
	config, err := in.Config(p.rootUID)
	if err != nil {
		return err
	}
	jobManager, err := in.JobManagerDeployment(p.rootUID)
	if err != nil {
		return err
	}
	if err := p.makeKeys(ctx, in); err != nil {
		return err
	}
	all := []kube.Object{config, in.JobManagerService(p.rootUID), jobManager}
	if workers {
		taskManager, err := in.TaskManagerDeployment(p.rootUID)
		if err != nil {
			return err
		}
		all = append(all, taskManager)
	}
	for _, object := range all {
		if err := p.Cluster.Apply(ctx, manifest.ManagerGeneration, object); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plain) makeKeys(ctx context.Context, in manifest.Input) error {
	var err error
	name := manifest.Of(p.Identity, in.Generation)
	if p.keys, err = pki.NewFlink(name.Root(), name.Service(manifest.JobManager)); err != nil {
		return err
	}
	return p.Cluster.CreateSecret(ctx, manifest.ManagerGeneration, &core.Secret{
		ObjectMeta: meta.ObjectMeta{
			Name: name.Keys(), Namespace: p.Identity.Namespace,
			OwnerReferences: []meta.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: p.root, UID: types.UID(p.rootUID)}},
		},
		Data: in.Keys(p.rootUID, manifest.Keys{Flink: p.keys}).Data,
	})
}

func (p *Plain) connect(ctx context.Context, name manifest.Name) (*flink.Client, error) {
	pods, err := p.Cluster.CoreV1().Pods(p.Identity.Namespace).List(ctx, meta.ListOptions{
		LabelSelector: meta.FormatLabelSelector(&meta.LabelSelector{MatchLabels: manifest.Selector(name, manifest.JobManager)}),
	})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) != 1 {
		return nil, fmt.Errorf("%d JobManager pods of %s", len(pods.Items), name.Root())
	}
	doors, err := pki.Pinned(p.keys.Client, p.keys.Server)
	if err != nil {
		return nil, err
	}
	doors.ServerName = name.Service(manifest.JobManager)
	client := flink.New(fmt.Sprintf("https://%s:8081", pods.Items[0].Status.PodIP), flink.NewTransport(doors))
	return client, until(ctx, func() (bool, error) {
		_, err := client.Overview(ctx)
		return err == nil, nil
	})
}

func (p *Plain) program(spec job.Spec) flink.Program {
	return flink.Program{EntryClass: spec.EntryClass, Arguments: spec.Arguments, Parallelism: p.Profile.Parallelism, Options: spec.Options}
}

// prime runs the same primer as the agent does and waits for its end.
func (p *Plain) prime(ctx context.Context, client *flink.Client) error {
	if err := until(ctx, func() (bool, error) {
		o, err := client.Overview(ctx)
		return err == nil && o.SlotsFree >= p.Profile.Slots(), nil
	}); err != nil {
		return err
	}
	jar, err := upload(ctx, client, p.Primer)
	if err != nil {
		return err
	}
	id := job.PrimerID(p.Identity.UID, p.generation, 1)
	directory := p.HDFSURI + job.PrimerDirectory(p.Identity.UID, p.generation)
	if err := client.Run(ctx, jar, flink.Program{
		EntryClass: "io.sluice.primer.Primer", Arguments: []string{"--directory", directory}, Parallelism: p.Profile.Slots(),
	}, id, ""); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		j, err := client.Job(ctx, id)
		if err != nil || !j.Terminal() {
			return false, nil //nolint:nilerr // asked again
		}
		o, err := client.Overview(ctx)
		return err == nil && o.SlotsFree >= p.Profile.Slots(), nil
	})
}

func (p *Plain) stop(ctx context.Context, client *flink.Client) (string, error) {
	trigger := job.TriggerID(ulid.Make().String(), "plain", 1)
	directory := p.HDFSURI + job.Directory(p.Identity.UID) + "/savepoints"
	if err := client.Stop(ctx, p.jobID, flink.SavepointRequest{TriggerID: trigger, Directory: directory, Format: "NATIVE"}); err != nil {
		return "", err
	}
	var location string
	err := until(ctx, func() (bool, error) {
		o, err := client.SavepointStatus(ctx, p.jobID, trigger)
		if err != nil || !o.Completed {
			return false, nil //nolint:nilerr // asked again
		}
		if o.Location == "" {
			return false, fmt.Errorf("savepoint: %s", o.Cause)
		}
		location = o.Location
		return true, nil
	})
	return location, err
}

func (p *Plain) submit(ctx context.Context, client *flink.Client, jar string, spec job.Spec, savepoint string) error {
	p.jobID = job.FlinkJobID(p.Identity.UID, int64(p.generation))
	if err := client.Run(ctx, jar, p.program(spec), p.jobID, savepoint); err != nil {
		return err
	}
	return p.running(ctx, client, nil)
}

// running waits until every subtask of every vertex runs; at gives parallelisms
// that vertices must have, nil: any.
func (p *Plain) running(ctx context.Context, client *flink.Client, at map[string]int) error {
	return until(ctx, func() (bool, error) {
		j, err := client.Job(ctx, p.jobID)
		if err != nil || j.State != flink.Running || len(j.Vertices) == 0 {
			return false, nil //nolint:nilerr // asked again
		}
		for _, v := range j.Vertices {
			if target, known := at[v.ID]; known && v.Parallelism != target || v.Tasks[flink.Running] < v.Parallelism {
				return false, nil
			}
		}
		return true, nil
	})
}

func (p *Plain) swapWorkers(ctx context.Context, spec job.Spec, oldGeneration int) error {
	old := manifest.Of(p.Identity, oldGeneration).Deployment(manifest.TaskManager)
	if err := p.Cluster.Scale(ctx, manifest.ManagerGeneration, p.Identity.Namespace, old, 0); err != nil {
		return err
	}
	taskManager, err := p.input(spec, p.generation).TaskManagerDeployment(p.rootUID)
	if err != nil {
		return err
	}
	return p.Cluster.Apply(ctx, manifest.ManagerGeneration, taskManager)
}

func (p *Plain) remove(ctx context.Context, root, uid string) error {
	if root == "" {
		return nil
	}
	policy := meta.DeletePropagationBackground
	_ = uid
	return p.Cluster.CoreV1().ConfigMaps(p.Identity.Namespace).Delete(ctx, root, meta.DeleteOptions{PropagationPolicy: &policy})
}

func upload(ctx context.Context, client *flink.Client, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	return client.Upload(ctx, info.Name(), file, info.Size())
}

// until asks every 10 ms: the floor's own resolution.
func until(ctx context.Context, condition func() (bool, error)) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := condition()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
