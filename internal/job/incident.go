package job

import (
	"fmt"
	"strconv"
)

// Incident is what befell a running submission without anybody's doing: the
// container of its JobManager ended. It is told to the job's lock (the signal
// incident); who is told twice knows it by its id.
type Incident struct {
	ID          string `json:"id"` // IncidentID
	Job         Ref    `json:"job"`
	UID         string `json:"uid"`
	Generation  int    `json:"generation"`
	Epoch       int64  `json:"epoch"`            // of the submission
	ContainerID string `json:"containerId"`      // that ended, or came after the one that ended: "containerd://…"
	ExitCode    int32  `json:"exitCode"`         //
	Reason      string `json:"reason,omitempty"` // the kubelet's: Error, OOMKilled, …
	FinishedAt  string `json:"finishedAt"`       // the kubelet's, RFC 3339
}

// IncidentID is the id of the loss of a submission with its JobManager's container:
// a submission has one, however often and by whatever later end it is seen.
func IncidentID(uid string, epoch int64, container string) string {
	return digest16(uid, strconv.FormatInt(epoch, 10), "incident", container)
}

// String is a sentence for people.
func (i Incident) String() string {
	how := fmt.Sprintf("exit code %d", i.ExitCode)
	if i.Reason != "" {
		how += ", " + i.Reason
	}
	return fmt.Sprintf("the JobManager of generation %d (submission %d) ended at %s (%s)", i.Generation, i.Epoch, i.FinishedAt, how)
}
