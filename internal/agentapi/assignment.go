package agentapi

import (
	"fmt"

	"sigs.k8s.io/yaml"

	"sluice/internal/failure"
	"sluice/internal/job"
)

// Where an agent finds what it needs in its pod.
const (
	AssignmentPath = "/etc/sluice/assignment.yaml"
	KeysPath       = "/etc/sluice/keys" // a directory
	PrimerPath     = "/opt/sluice/primer.jar"
)

// Keys of the generation's Secret that its agent sees, as files of KeysPath.
const (
	AgentCertificate = "agent.crt" // issued by the platform's authority
	AgentKey         = "agent.key"
	Trust            = "ca.crt"           // who issues the certificates of those that may call
	FlinkServer      = "flink.crt"        // the certificate that the JobManager must show
	FlinkClient      = "flink-client.crt" // the agent's own for the JobManager
	FlinkClientKey   = "flink-client.key"
)

// Keys lists them.
var Keys = []string{AgentCertificate, AgentKey, Trust, FlinkServer, FlinkClient, FlinkClientKey}

// What brings a revision's dependencies into the pods of Flink.
const (
	FetchCommand     = "fetch" // sluice-agent fetch sha256:…
	FetchContainer   = "fetch"
	DependenciesPath = "/opt/sluice/dependencies"
	// ExitUseless is the exit code that says that another try would end the same
	// (sysexits' EX_DATAERR); the last line on stderr says why.
	ExitUseless = 65
)

// DependencyFile is where a dependency lies in a pod of Flink, by the digits of
// its digest.
func DependencyFile(digits string) string { return DependenciesPath + "/" + digits + ".jar" }

// Assignment tells an agent which generation of which job it serves. It is
// rendered into the generation's ConfigMap; it holds no secret.
type Assignment struct {
	JobUID        string `json:"jobUid"`
	Tenant        string `json:"tenant"`
	Job           string `json:"job"`
	Namespace     string `json:"namespace"`
	Site          string `json:"site"`
	Generation    int    `json:"generation"`
	Parallelism   int    `json:"parallelism"`   // of the profile that the generation was made with
	JobManagerURL string `json:"jobManagerURL"` // https://<job>-g<n>-jobmanager:8081
	HDFS          HDFS   `json:"hdfs"`
	HDFSURI       string `json:"hdfsURI"`       // hdfs://host:port, before the paths that Flink gets
	PrimerJar     string `json:"primerJar"`     // default PrimerPath
	Listen        string `json:"listen"`        // default ":8480"
	MetricsListen string `json:"metricsListen"` // of /metrics; "": none
}

// HDFS is how the agent itself reaches HDFS.
type HDFS struct {
	NameNodes []string `json:"namenodes"` // host:port
	User      string   `json:"user"`
}

// YAML renders the assignment as the agent reads it.
func (a Assignment) YAML() ([]byte, error) { return yaml.Marshal(a) }

// ParseAssignment reads it, fills in what has a default and refuses what the
// agent can't work with, unknown keys too.
func ParseAssignment(data []byte) (Assignment, error) {
	var a Assignment
	if err := yaml.UnmarshalStrict(data, &a); err != nil {
		return a, failure.Wrap(failure.Invalid, err, "the assignment can't be read")
	}
	if a.PrimerJar == "" {
		a.PrimerJar = PrimerPath
	}
	if a.Listen == "" {
		a.Listen = fmt.Sprintf(":%d", Port)
	}
	for _, field := range []struct{ name, value string }{
		{"jobUid", a.JobUID}, {"tenant", a.Tenant}, {"job", a.Job}, {"namespace", a.Namespace},
		{"jobManagerURL", a.JobManagerURL}, {"hdfsURI", a.HDFSURI}, {"hdfs.user", a.HDFS.User},
	} {
		if field.value == "" {
			return a, failure.New(failure.Invalid, "the assignment has no %s", field.name)
		}
	}
	if a.Generation <= 0 || len(a.HDFS.NameNodes) == 0 {
		return a, failure.New(failure.Invalid, "the assignment has no generation or no hdfs.namenodes")
	}
	return a, nil
}

// EndpointOf is where the agent of a generation listens.
func EndpointOf(identity job.Identity, generation int) Endpoint {
	return Endpoint{
		URL:    fmt.Sprintf("https://%s:%d", Host(identity, generation), Port),
		JobUID: identity.UID,
	}
}

// Host is the name in the certificate of a generation's agent.
func Host(identity job.Identity, generation int) string {
	return fmt.Sprintf("%s-g%d-client.%s.svc", identity.Name, generation, identity.Namespace)
}
