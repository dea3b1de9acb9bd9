package job

import (
	"fmt"
	"strconv"
)

// Kinds of incidents.
const (
	// IncidentLoss: the container of a submission's JobManager ended.
	IncidentLoss = ""
	// IncidentHold: an operation holds the writer lease whose run isn't open.
	IncidentHold = "hold"
)

// Incident is what befell a job without the platform's doing. It is told to the
// job's lock (the signal incident); who is told twice knows it by its id.
type Incident struct {
	ID          string `json:"id"`             // IncidentID, or HoldIncidentID
	Kind        string `json:"kind,omitempty"` // IncidentLoss, IncidentHold
	Job         Ref    `json:"job"`
	UID         string `json:"uid"`
	Generation  int    `json:"generation"`
	Epoch       int64  `json:"epoch"`            // of the submission; of a hold: at which it was placed
	ContainerID string `json:"containerId"`      // that ended, or came after the one that ended: "containerd://…"
	ExitCode    int32  `json:"exitCode"`         // -1: nobody saw it
	Reason      string `json:"reason,omitempty"` // the kubelet's: Error, OOMKilled, …
	FinishedAt  string `json:"finishedAt"`       // the kubelet's, RFC 3339; of a hold: since when it is there
	HeldBy      string `json:"heldBy,omitempty"` // the operation whose hold it is
}

// IncidentID is the id of the loss of a submission with its JobManager's container:
// a submission has one, however often and by whatever later end it is seen.
func IncidentID(uid string, epoch int64, container string) string {
	return digest16(uid, strconv.FormatInt(epoch, 10), "incident", container)
}

// HoldIncidentID is the id of a hold whose operation's run ended before it: an
// operation holds once at an epoch.
func HoldIncidentID(uid string, epoch int64, operation string) string {
	return digest16(uid, strconv.FormatInt(epoch, 10), "hold", operation)
}

// String is a sentence for people.
func (i Incident) String() string {
	if i.Kind == IncidentHold {
		return fmt.Sprintf("operation %s held the Lease (since %s) when its run was not open any more: it was ended from outside; the next operation takes the hold over, or says which one can", i.HeldBy, i.FinishedAt)
	}
	how := fmt.Sprintf("exit code %d", i.ExitCode)
	if i.ExitCode < 0 {
		how = "no kubelet saw how"
	}
	if i.Reason != "" {
		how += ", " + i.Reason
	}
	return fmt.Sprintf("the JobManager of generation %d (submission %d) ended at %s (%s)", i.Generation, i.Epoch, i.FinishedAt, how)
}
