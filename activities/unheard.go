package activities

var (
	// UnheardContainers lists the containers of a generation that ran user code, may
	// run still as far as anybody can prove, and of which no kubelet will speak by
	// itself: its node is away, or it has lost them.
	UnheardContainers = Def[UnheardIn, UnheardOut]{"kube.UnheardContainers", Quick}
	// RecordEnds writes a person's word on containers to the record.
	RecordEnds = Def[DeclareIn, None]{"record.RecordEnds", Effect}
	// DeclareEnded notes that word on their pods, where the agent and the observer
	// read it.
	DeclareEnded = Def[DeclareIn, None]{"kube.DeclareEnded", Effect}
)

// UnheardIn names a generation.
type UnheardIn struct {
	GenerationRef
	// JobManager is one whose end is not on record: it is unheard where its pod is
	// gone too. nil: none is missing.
	JobManager *Unheard `json:"jobManager,omitempty"`
}

// UnheardOut lists them.
type UnheardOut struct {
	Containers []Unheard `json:"containers"`
}

// Unheard is a container whose end only a person can know.
type Unheard struct {
	ContainerID string `json:"containerId"` // "containerd://…"
	Container   string `json:"container"`   // its name in the pod
	Attempt     int    `json:"attempt"`     // counts the containers of that name from 1
	PodUID      string `json:"podUid"`
	Pod         string `json:"pod"`
	Role        string `json:"role"` // jobmanager, taskmanager
	Why         string `json:"why"`  // no kubelet will speak of it
}

// DeclareIn is a person's word that containers of a generation have ended.
type DeclareIn struct {
	GenerationRef
	Containers []Unheard `json:"containers"`
	Source     string    `json:"source"` // who said so, where and why
	At         string    `json:"at"`     // RFC 3339, when it was said
}

// Of are the ids of the containers of one pod.
func (in DeclareIn) Of(podUID string) []string {
	var ids []string
	for _, c := range in.Containers {
		if c.PodUID == podUID {
			ids = append(ids, c.ContainerID)
		}
	}
	return ids
}
