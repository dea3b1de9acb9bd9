package manifest

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"sluice/internal/job"
)

const (
	jobManagerMain  = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
	taskManagerMain = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
)

// opens is what Flink's serializers and user code reach by reflection on Java
// 17: flink-dist's env.java.opts.all of 1.20, as separate arguments.
var opens = []string{
	"--add-exports=java.base/sun.net.util=ALL-UNNAMED",
	"--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
	"--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
	"--add-opens=java.base/java.lang=ALL-UNNAMED",
	"--add-opens=java.base/java.net=ALL-UNNAMED",
	"--add-opens=java.base/java.io=ALL-UNNAMED",
	"--add-opens=java.base/java.nio=ALL-UNNAMED",
	"--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
	"--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
	"--add-opens=java.base/java.text=ALL-UNNAMED",
	"--add-opens=java.base/java.time=ALL-UNNAMED",
	"--add-opens=java.base/java.util=ALL-UNNAMED",
	"--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
	"--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
	"--add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED",
}

// java is the container's command: no script of Flink's, each of which starts
// JVMs of its own before the one that counts.
func java(tuned []string, heap, metaspace, processors int, more ...string) []string {
	command := append([]string{"java"}, tuned...)
	command = append(command,
		"-Xshare:auto", "-Xms64m", fmt.Sprintf("-Xmx%dm", heap), fmt.Sprintf("-XX:MaxMetaspaceSize=%dm", metaspace),
		// Without a CPU limit a JVM counts the node's cores and sizes dozens of
		// thread pools by them.
		fmt.Sprintf("-XX:ActiveProcessorCount=%d", processors),
		"-XX:+ErrorFileToStdout", // a crash report in a pod's file system is lost with it
	)
	command = append(command, opens...)
	command = append(command, "-Dlog4j.configurationFile="+flinkConf+"/log4j.properties")
	return append(command, more...)
}

// tuned are the flags of what a JVM is for. The second compiler's code lies in the
// overhead, of which it may have half: more than the container's limit is its end.
func tuned(jvm job.JVM, overhead int) []string {
	if jvm == job.QuickStart {
		return []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	}
	return []string{fmt.Sprintf("-XX:ReservedCodeCacheSize=%dm", clamp(overhead/2, 32, 240))}
}

func (in Input) jobManagerCommand() ([]string, error) {
	memory, err := DivideJobManager(in.Profile.JobManager.MemoryMiB)
	if err != nil {
		return nil, err
	}
	cpu, err := cores(in.Profile.JobManager.CPU)
	if err != nil {
		return nil, err
	}
	flags := tuned(cmp.Or(in.Profile.JobManager.JVM, job.QuickStart), memory.Overhead)
	return java(flags, memory.Heap, memory.Metaspace, processors(cpu),
		"-cp", "/opt/flink/lib/*", mainOf(JobManager), "--configDir", flinkConf), nil
}

func (in Input) taskManagerCommand() ([]string, error) {
	memory, err := DivideTaskManager(in.Profile.TaskManager.MemoryMiB, in.Revision.Spec.ManagedState())
	if err != nil {
		return nil, err
	}
	cpu, err := cores(in.Profile.TaskManager.CPU)
	if err != nil {
		return nil, err
	}
	flags := tuned(cmp.Or(in.Profile.TaskManager.JVM, job.Throughput), memory.Overhead)
	return java(flags, memory.Heap(), memory.Metaspace, processors(cpu),
		"-XX:MaxDirectMemorySize="+strconv.Itoa(memory.Direct())+"m",
		"-cp", "/opt/flink/lib/*", mainOf(TaskManager), "--configDir", flinkConf,
		"-D", "taskmanager.host=$(POD_IP)",
		// So that Flink's list of TaskManagers and Kubernetes' list of pods are one.
		"-D", "taskmanager.resource-id=$(POD_NAME)"), nil
}

// mainOf names the role's file of arguments, which begins with its main class.
func mainOf(role Role) string { return "@" + path.Join(flinkKeys, argumentsFile(role)) }

// cores reads a quantity such as "500m".
func cores(quantity string) (float64, error) {
	q, err := resource.ParseQuantity(quantity)
	if err != nil {
		return 0, fmt.Errorf("%q is not a Kubernetes quantity such as 500m or 2", quantity)
	}
	if q.Sign() <= 0 {
		return 0, fmt.Errorf("%q must be more than 0", quantity)
	}
	return float64(q.MilliValue()) / 1000, nil
}

// processors is never 1: a blocking thread in a pool of one stops everything.
func processors(cores float64) int { return max(2, int(math.Ceil(cores))) }
