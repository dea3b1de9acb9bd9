package manifest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/pki"
)

var update = flag.Bool("update", false, "write the golden files")

func sample() Input {
	return Input{
		Identity:  job.Identity{Ref: job.Ref{Tenant: "shop", Name: "orders"}, UID: "01JD0000000000000000000ORD", Site: "dc1", Namespace: "shop"},
		Operation: "01JD000000000000000000OPER", Generation: 7,
		Revision: job.Revision{Number: 3, Digest: "sha256:" + strings.Repeat("ab", 32), Spec: job.Spec{
			Engine:     job.Engine{Name: "flink", Version: "1.20.5"},
			Artifact:   "sha256:" + strings.Repeat("cd", 32),
			EntryClass: "com.example.Orders",
			Options: map[string]string{
				"execution.checkpointing.interval": "30 s",
				"pipeline.object-reuse":            "true",
				"state.checkpoints.dir":            "hdfs://elsewhere/mine", // owned: never taken over
			},
		}},
		Profile: job.Profile{
			Name: "ordinary", JobManager: job.Role{CPU: "500m", MemoryMiB: 640},
			TaskManager: job.TaskManager{Role: job.Role{CPU: "1", MemoryMiB: 1024}, Replicas: 2, Slots: 2}, Parallelism: 4,
		},
		Platform: Platform{
			EngineImage: "sluice/flink:1.20.5", AgentImage: "sluice/agent:abc", HDFSURI: "hdfs://10.244.0.1:9000",
			HDFS: agentapi.HDFS{NameNodes: []string{"10.244.0.1:9000"}, User: "sluice"}, Namespace: "sluice-system",
		},
	}
}

// The whole of a generation, as it goes to Kubernetes.
func TestGolden(t *testing.T) {
	rocksDB := sample()
	rocksDB.Revision.Spec.Options = map[string]string{"state.backend.type": "rocksdb"}
	rocksDB.Platform.PullPolicy = "Never"
	rocksDB.Revision.Spec.Secrets = []job.Secret{{Name: "kafka", MountPath: "/secrets/kafka"}, {Name: "database", Env: "DB_PASSWORD", Key: "password"}}
	two := sample()
	two.Revision.Spec.Engine.Version = "2.3.0"
	two.Platform.EngineImage = "sluice/flink:2.3.0"
	two.Platform.Monitoring = "monitoring"
	for name, in := range map[string]Input{"generation": sample(), "rocksdb": rocksDB, "flink-2": two, "dependencies": depending()} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, in.Check())
			golden(t, name+".yaml", render(t, in))
		})
	}
}

// sampleKeys stand for what is random.
var sampleKeys = Keys{
	Flink: pki.Flink{
		Password: "password", Internal: []byte("internal"), REST: []byte("rest"), RESTTrust: []byte("trust"),
		Client: pki.Pair{Certificate: []byte("client"), Key: []byte("client's key")}, Server: []byte("server"),
	},
	Agent: pki.Pair{Certificate: []byte("agent"), Key: []byte("agent's key")}, Trust: []byte("authority"),
}

func depending() Input {
	in := sample()
	in.Revision.Spec.Dependencies = []string{"sha256:" + strings.Repeat("0d", 32), "sha256:" + strings.Repeat("1d", 32)}
	return in
}

func render(t *testing.T, in Input) string {
	t.Helper()
	const root = "00000000-0000-0000-0000-000000000007"
	config, err := in.Config(root)
	require.NoError(t, err)
	jobManager, err := in.JobManagerDeployment(root)
	require.NoError(t, err)
	taskManager, err := in.TaskManagerDeployment(root)
	require.NoError(t, err)
	objects := []any{
		in.Root(), in.ServiceAccount(), in.AccessRole(), in.AccessBinding(), in.Keys(root, sampleKeys), config,
		in.JobManagerService(root), in.ClientService(root), jobManager, in.AgentDeployment(root), in.JobManagerBudget(root), taskManager,
	}
	for _, policy := range in.Policies(root) {
		objects = append(objects, policy)
	}
	var documents []string
	for _, object := range objects {
		text, err := yaml.Marshal(object)
		require.NoError(t, err)
		documents = append(documents, string(text))
	}
	return strings.Join(documents, "---\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run: go test ./internal/manifest -update, and read the difference")
}

// The agent reads what we write.
func TestAssignmentIsTheAgents(t *testing.T) {
	text, err := sample().assignment()
	require.NoError(t, err)
	read, err := agentapi.ParseAssignment([]byte(text))
	require.NoError(t, err)
	require.Equal(t, 7, read.Generation)
	require.Equal(t, "https://orders-g7-jobmanager:8081", read.JobManagerURL)
	require.Equal(t, "orders-g7-client.shop.svc", agentapi.Host(sample().Identity, 7))
	require.Equal(t, "orders-g7-client", Of(sample().Identity, 7).Service(Client))
}

func TestProfileTunesTheJVM(t *testing.T) {
	flags := func(manager, worker job.JVM) (managers, workers []string) {
		in := sample()
		in.Profile.JobManager.JVM, in.Profile.TaskManager.JVM = manager, worker
		managers, err := in.jobManagerCommand()
		require.NoError(t, err)
		workers, err = in.taskManagerCommand()
		require.NoError(t, err)
		return managers, workers
	}
	const light = "-XX:TieredStopAtLevel=1"
	managers, workers := flags("", "")
	require.Contains(t, managers, light)
	require.NotContains(t, workers, light)
	require.NotContains(t, workers, "-XX:+UseSerialGC")
	managers, workers = flags(job.Throughput, job.QuickStart)
	require.NotContains(t, managers, light)
	require.Contains(t, workers, light)
}

func TestPlatformWinsOverTheRevision(t *testing.T) {
	in := sample()
	in.Revision.Spec.Options = map[string]string{
		"restart-strategy.type": "none", "execution.checkpointing.timeout": "1 s", "rest.port": "1", "taskmanager.rpc.port": "6122", "web.submit.enable": "false",
		"execution.checkpointing.dir": "hdfs://elsewhere/", "taskmanager.memory.managed.size": "1g", "pipeline.max-parallelism": "128",
	}
	options, err := in.FlinkOptions()
	require.NoError(t, err)
	require.Equal(t, "exponential-delay", options["restart-strategy.type"])
	require.Equal(t, "2700000 ms", options["execution.checkpointing.timeout"])
	require.Equal(t, "8081", options["rest.port"])
	require.Equal(t, "0", options["taskmanager.rpc.port"], "a TaskManager that restarts must not come back at the address that its JobManager still calls")
	require.Equal(t, "true", options["web.submit.enable"])
	require.Equal(t, "hdfs://10.244.0.1:9000/sluice/jobs/01JD0000000000000000000ORD/checkpoints", options["execution.checkpointing.dir"])
	require.Equal(t, "64m", options["taskmanager.memory.managed.size"])
	require.Equal(t, "128", options["pipeline.max-parallelism"])
	require.Equal(t, "5 s", options["execution.checkpointing.interval"])
}

// What the init container brought is where the class path says, in both roles.
func TestDependenciesAreWhereFlinkLooks(t *testing.T) {
	in := depending()
	options, err := in.FlinkOptions()
	require.NoError(t, err)
	require.Equal(t, "file://"+agentapi.DependencyFile(strings.Repeat("0d", 32))+";file://"+agentapi.DependencyFile(strings.Repeat("1d", 32)), options["pipeline.classpaths"])
	jobManager, err := in.JobManagerDeployment("u")
	require.NoError(t, err)
	taskManager, err := in.TaskManagerDeployment("u")
	require.NoError(t, err)
	for _, d := range []*apps.DeploymentApplyConfiguration{jobManager, taskManager} {
		pod := d.Spec.Template.Spec
		mounted := func(c core.ContainerApplyConfiguration) bool {
			return slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMountApplyConfiguration) bool {
				return *m.Name == "dependencies" && *m.MountPath == agentapi.DependenciesPath
			})
		}
		require.True(t, mounted(pod.InitContainers[0]), *d.Name)
		require.True(t, mounted(pod.Containers[0]), *d.Name)
	}
}

// The JVMs' command is the same with dependencies and without: what the engine
// image archived of its classes holds only for its own class path. And who has none
// starts as soon as ever.
func TestDependenciesLeaveTheEngineAsItIs(t *testing.T) {
	with, without := depending(), sample()
	for _, role := range []func(Input) (*apps.DeploymentApplyConfiguration, error){
		func(in Input) (*apps.DeploymentApplyConfiguration, error) { return in.JobManagerDeployment("u") },
		func(in Input) (*apps.DeploymentApplyConfiguration, error) { return in.TaskManagerDeployment("u") },
	} {
		a, err := role(with)
		require.NoError(t, err)
		b, err := role(without)
		require.NoError(t, err)
		require.Equal(t, b.Spec.Template.Spec.Containers[0].Command, a.Spec.Template.Spec.Containers[0].Command)
		require.Equal(t, b.Spec.Template.Spec.Containers[0].Env, a.Spec.Template.Spec.Containers[0].Env)
		require.Contains(t, strings.Join(a.Spec.Template.Spec.Containers[0].Command, " "), "-cp /opt/flink/lib/* @")
		require.Empty(t, b.Spec.Template.Spec.InitContainers)
	}
	options, err := without.FlinkOptions()
	require.NoError(t, err)
	require.NotContains(t, options, "pipeline.classpaths")
}

func TestPodsThatRunUserCode(t *testing.T) {
	in := depending()
	jobManager, err := in.JobManagerDeployment("u")
	require.NoError(t, err)
	taskManager, err := in.TaskManagerDeployment("u")
	require.NoError(t, err)
	for _, d := range []any{jobManager, taskManager} {
		text, err := yaml.Marshal(d)
		require.NoError(t, err)
		require.Contains(t, string(text), "automountServiceAccountToken: false")
		require.Contains(t, string(text), "- "+ProofFinalizer)
		require.NotContains(t, string(text), "livenessProbe")
		require.NotContains(t, string(text), "serviceAccountName")
		require.NotContains(t, string(text), agentapi.AgentKey)
		require.NotContains(t, string(text), agentapi.FlinkClientKey)
	}
	text, err := yaml.Marshal(taskManager)
	require.NoError(t, err)
	require.NotContains(t, string(text), restStore, "a TaskManager has no key to the JobManager's REST")
	agent, err := yaml.Marshal(in.AgentDeployment("u"))
	require.NoError(t, err)
	require.NotContains(t, string(agent), ProofFinalizer)
}

func TestPasswordStandsInTheSecretAlone(t *testing.T) {
	in := sample()
	config, err := in.Config("u")
	require.NoError(t, err)
	jobManager, err := in.JobManagerDeployment("u")
	require.NoError(t, err)
	taskManager, err := in.TaskManagerDeployment("u")
	require.NoError(t, err)
	for _, object := range []any{in.Root(), config, jobManager, taskManager, in.AgentDeployment("u")} {
		text, err := yaml.Marshal(object)
		require.NoError(t, err)
		require.NotContains(t, string(text), "password")
	}
	for key, value := range in.Keys("u", sampleKeys).Data {
		require.Equal(t, strings.HasSuffix(key, ".args"), strings.Contains(string(value), sampleKeys.Flink.Password), key)
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Input)
		says   string
	}{
		"fits":              {func(*Input) {}, ""},
		"other engine":      {func(in *Input) { in.Revision.Spec.Engine.Name = "spark" }, "engine \"spark\" is not known"},
		"no image":          {func(in *Input) { in.Platform.EngineImage = "" }, "no image"},
		"no operation":      {func(in *Input) { in.Operation = "" }, "operation must be set"},
		"name of a default": {func(in *Input) { in.Identity.Name = "default" }, "service account"},
		"generation 0":      {func(in *Input) { in.Generation = 0 }, "generation 0"},
		"cpu":               {func(in *Input) { in.Profile.JobManager.CPU = "half" }, "jobManager.cpu: \"half\" is not a Kubernetes quantity"},
		"no cpu":            {func(in *Input) { in.Profile.TaskManager.CPU = "0" }, "must be more than 0"},
		"small JobManager":  {func(in *Input) { in.Profile.JobManager.MemoryMiB = 300 }, "jobManager.memoryMiB: 300 MiB leave"},
		"small TaskManager": {func(in *Input) { in.Profile.TaskManager.MemoryMiB = 400 }, "give it at least 449 MiB"},
		"parallelism":       {func(in *Input) { in.Profile.Parallelism = 5 }, "parallelism 5 needs more than its 4 slots"},
		"no replicas":       {func(in *Input) { in.Profile.TaskManager.Replicas = 0 }, "at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			in := sample()
			c.change(&in)
			err := in.Check()
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}
