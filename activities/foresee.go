package activities

import "sluice/internal/job"

// What a plan foresees. None of it is part of the plan's digest.
var (
	// PastOperations tells what a job's last committed operations took.
	PastOperations = Def[PastIn, PastOut]{"record.PastOperations", Quick}
	// LookAtQuota compares what a generation would take with the ResourceQuotas of its
	// namespace.
	LookAtQuota = Def[QuotaIn, QuotaOut]{"kube.LookAtQuota", Quick}
)

// PastIn names the job.
type PastIn struct {
	JobUID string `json:"jobUid"`
}

// PastOut lists them, newest first, at most ten.
type PastOut struct {
	Operations []Past `json:"operations"`
}

// Past is what an operation took; 0: it had no such part.
type Past struct {
	Strategy    job.Strategy `json:"strategy,omitempty"` // as it went in the end
	SavepointMS int64        `json:"savepointMs,omitempty"`
	DowntimeMS  int64        `json:"downtimeMs,omitempty"`
}

// QuotaIn is a generation that would be made.
type QuotaIn struct {
	GenerationIn
	// Active is the generation that runs and stays meanwhile; 0: none.
	Active int `json:"active,omitempty"`
}

// QuotaOut lists what quotas leave; empty where there are none.
type QuotaOut struct {
	Rooms []QuotaRoom `json:"rooms"`
}

// QuotaRoom is one resource of one ResourceQuota. Quantities are Kubernetes'.
type QuotaRoom struct {
	Quota    string `json:"quota"`
	Resource string `json:"resource"`
	Hard     string `json:"hard"`
	Left     string `json:"left"`  // beside what runs; what is going counts as gone
	Needs    string `json:"needs"` // the whole new generation
	Fits     bool   `json:"fits"`
	// FitsCold: agent and JobManager fit, without the TaskManagers.
	FitsCold bool `json:"fitsCold"`
}
