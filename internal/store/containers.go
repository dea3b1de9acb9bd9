package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
)

// ContainerEnd is a kubelet's state.terminated, written by the observer before
// it takes the finalizer sluice.io/proof off the pod; or what is as good where the
// kubelet can't speak (Source).
type ContainerEnd struct {
	bun.BaseModel `bun:"table:container_ends,alias:c"`

	ContainerID string `bun:"container_id,pk"` // "containerd://…"
	PodUID      string `bun:"pod_uid"`
	Pod         string `bun:"pod"`
	Namespace   string `bun:"namespace"`
	Container   string `bun:"container"` // its name in the pod
	Attempt     int    `bun:"attempt"`   // counts the containers of that name in that pod from 1; 0: not known
	JobUID      string `bun:"job_uid"`
	Generation  int    `bun:"generation"`
	Role        string `bun:"role"`        // jobmanager, taskmanager
	ExitCode    int32  `bun:"exit_code"`   // UnknownExit where no kubelet saw it
	FinishedAt  string `bun:"finished_at"` // the kubelet's words, RFC 3339
	// Source is whose word it is: "" the kubelet's; else why its node is off, or who
	// said so, for people.
	Source     string    `bun:"source"`
	RecordedAt time.Time `bun:"recorded_at"` // set here
}

// UnknownExit is the exit code of an end that no kubelet saw.
const UnknownExit = -1

// RecordContainerEnd writes a proof; the first one stays.
func (s *Store) RecordContainerEnd(ctx context.Context, end ContainerEnd) error {
	_, err := effect.Do(ctx, effect.WriteRecord, end.ContainerID, func(ctx context.Context) (struct{}, error) {
		end.RecordedAt = s.clock()
		_, err := s.db.NewInsert().Model(&end).On("DUPLICATE KEY UPDATE").Set("container_id = VALUES(container_id)").Exec(ctx)
		return struct{}{}, mapError(err, "the container's end")
	})
	return err
}

// ContainerEnds reads the proofs of the containers named, or of a whole
// generation when none is named.
func (s *Store) ContainerEnds(ctx context.Context, uid string, generation int, ids []string) ([]ContainerEnd, error) {
	var rows []ContainerEnd
	query := s.db.NewSelect().Model(&rows).Where("job_uid = ?", uid).OrderExpr("recorded_at, container_id")
	if len(ids) > 0 {
		query = query.Where("container_id IN (?)", bun.List(ids))
	} else {
		query = query.Where("generation = ?", generation)
	}
	return rows, mapError(query.Scan(ctx), "the containers' ends")
}

// LaterEnds reads the proofs of the containers that came after an attempt of the
// same name in the same pod. The kubelet starts one only when the one before it
// has ended: each of them proves that end too, which nobody may have seen (it
// shows only the last two). Attempts are the kubelet's count, not a clock.
func (s *Store) LaterEnds(ctx context.Context, uid, podUID, container string, attempt int) ([]ContainerEnd, error) {
	if attempt < 1 {
		return nil, nil // not known: any container might be an earlier one
	}
	var rows []ContainerEnd
	err := s.db.NewSelect().Model(&rows).Where("job_uid = ?", uid).
		Where("pod_uid = ? AND container = ? AND attempt > ?", podUID, container, attempt).Order("attempt").Scan(ctx)
	return rows, mapError(err, "the containers' ends")
}
