package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"sluice/internal/effect"
)

// ContainerEnd is a kubelet's state.terminated, written by the observer before
// it takes the finalizer sluice.io/proof off the pod.
type ContainerEnd struct {
	bun.BaseModel `bun:"table:container_ends,alias:c"`

	ContainerID string    `bun:"container_id,pk"` // "containerd://…"
	PodUID      string    `bun:"pod_uid"`
	Pod         string    `bun:"pod"`
	Namespace   string    `bun:"namespace"`
	JobUID      string    `bun:"job_uid"`
	Generation  int       `bun:"generation"`
	Role        string    `bun:"role"` // jobmanager, taskmanager
	ExitCode    int32     `bun:"exit_code"`
	FinishedAt  string    `bun:"finished_at"` // the kubelet's words, RFC 3339
	RecordedAt  time.Time `bun:"recorded_at"` // set here
}

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
