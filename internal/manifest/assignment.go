package manifest

import (
	"fmt"

	"sluice/internal/agentapi"
)

// assignment is what the agent is told; its primer jar and port keep their
// defaults, which are those of its image and of ClientService.
func (in Input) assignment() (string, error) {
	text, err := agentapi.Assignment{
		JobUID:        in.Identity.UID,
		Tenant:        in.Identity.Tenant,
		Job:           in.Identity.Name,
		Namespace:     in.Identity.Namespace,
		Site:          in.Identity.Site,
		Generation:    in.Generation,
		Parallelism:   in.Profile.Parallelism,
		JobManagerURL: fmt.Sprintf("https://%s:%d", in.name().Service(JobManager), PortREST),
		HDFS:          in.Platform.HDFS,
		HDFSURI:       in.Platform.HDFSURI,
		PrimerJar:     agentapi.PrimerPath,
		Listen:        fmt.Sprintf(":%d", agentapi.Port),
		MetricsListen: fmt.Sprintf(":%d", agentapi.MetricsPort),
	}.YAML()
	return string(text), err
}
