//go:build contract

package record

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

// fresh makes Activities on a database of its own (SLUICE_DATABASE_DSN).
func fresh(t *testing.T) *Activities {
	t.Helper()
	config, err := mysql.ParseDSN(os.Getenv("SLUICE_DATABASE_DSN"))
	require.NoError(t, err, "SLUICE_DATABASE_DSN")
	admin, err := sql.Open("mysql", config.FormatDSN())
	require.NoError(t, err)
	name := "sluice_test_" + strings.ToLower(rand.Text()[:12])
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	require.NoError(t, err)
	config.DBName = name
	records, err := store.Open(config.FormatDSN(), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, records.Close())
		_, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name)
		require.NoError(t, err)
		require.NoError(t, admin.Close())
	})
	require.NoError(t, records.Migrate(t.Context()))
	return &Activities{Store: records, Namespaces: map[string]string{"shop": "shop-jobs"}, FS: "hdfs://nn:8020"}
}

var orders = job.Ref{Tenant: "shop", Name: "orders"}

func TestAnOperationsRecord(t *testing.T) {
	a, ctx := fresh(t), t.Context()
	_, err := a.resolve(ctx, activities.ResolveIn{Job: orders})
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	spec := job.Spec{Engine: job.Engine{Name: "flink", Version: "1.20.5"}, Artifact: "sha256:" + strings.Repeat("a", 64), EntryClass: "A"}
	put, err := a.Store.PutJob(ctx, orders, "dc1", spec, "anna")
	require.NoError(t, err)
	uid := put.Job.UID

	out, err := a.resolve(ctx, activities.ResolveIn{Job: orders, UID: uid})
	require.NoError(t, err)
	require.Equal(t, job.Identity{Ref: orders, UID: uid, Site: "dc1", Namespace: "shop-jobs", FS: "hdfs://nn:8020"}, out.Identity)
	require.Equal(t, spec, out.Revision.Spec)
	require.Equal(t, job.DefaultProfile(), out.Profile)
	require.Equal(t, activities.Current{State: "new"}, out.Current)
	require.False(t, out.EverSnapshot)
	_, err = a.resolve(ctx, activities.ResolveIn{Job: orders, UID: "another"})
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	_, err = a.resolve(ctx, activities.ResolveIn{Job: orders, Revision: 2})
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	_, err = a.resolve(ctx, activities.ResolveIn{Job: job.Ref{Tenant: "bank", Name: "orders"}})
	require.Equal(t, failure.NotFound, failure.CodeOf(err))

	row, _, err := a.Store.InsertOperation(ctx, store.NewOperation{JobUID: uid, Job: orders, Request: job.Request{Kind: job.Start}, Key: "k", By: "anna"})
	require.NoError(t, err)
	won, err := a.claim(ctx, activities.ClaimIn{Operation: row.ID, RunID: "r1"})
	require.NoError(t, err)
	require.Equal(t, activities.ClaimOut{Won: true, RunID: "r1"}, won)
	lost, err := a.claim(ctx, activities.ClaimIn{Operation: row.ID, RunID: "r2"})
	require.NoError(t, err)
	require.Equal(t, activities.ClaimOut{RunID: "r1"}, lost)

	promotion := job.DefaultProfile()
	promotion.Name = "promotion"
	_, err = a.Store.PutProfile(ctx, "shop", promotion, "anna")
	require.NoError(t, err)
	snapshot := job.Snapshot{Epoch: 1, CheckpointID: 4, Path: "hdfs://nn:8020/sp", Kind: "savepoint", Operation: row.ID}
	for range 2 { // each activity may run again
		_, err = a.recordSnapshot(ctx, activities.RecordSnapshotIn{JobUID: uid, Snapshot: snapshot, Engine: spec.Engine, Revision: 1})
		require.NoError(t, err)
		_, err = a.commit(ctx, activities.CommitIn{JobUID: uid, Operation: row.ID, Revision: 1, Profile: "promotion", State: store.Running, Epoch: 1, Generation: 1})
		require.NoError(t, err)
		_, err = a.finish(ctx, activities.FinishIn{Operation: row.ID, Phase: job.Committed, Result: []byte(`{}`)})
		require.NoError(t, err)
	}
	listed, err := a.snapshots(ctx, activities.SnapshotsIn{JobUID: uid})
	require.NoError(t, err)
	require.Equal(t, []job.Snapshot{snapshot}, listed.Snapshots)
	out, err = a.resolve(ctx, activities.ResolveIn{Job: orders})
	require.NoError(t, err)
	require.Equal(t, activities.Current{Revision: 1, Digest: spec.Digest(), Profile: "promotion", State: "running", Epoch: 1}, out.Current)
	require.Equal(t, "promotion", out.Profile.Name, "the profile in force")
	require.True(t, out.EverSnapshot)

	require.NoError(t, a.Store.RecordContainerEnd(ctx, store.ContainerEnd{ContainerID: "containerd://1", JobUID: uid, Generation: 1, Role: "jobmanager", ExitCode: 137}))
	ends, err := a.containerEnds(ctx, activities.ContainerEndsIn{JobUID: uid, Generation: 1})
	require.NoError(t, err)
	require.Equal(t, []activities.ContainerEnd{{ContainerID: "containerd://1", Role: "jobmanager", ExitCode: 137}}, ends.Ends)

	// The end that nobody saw is proven by that of a later container in its pod.
	unseen := activities.ContainerEndsIn{JobUID: uid, ContainerIDs: []string{"containerd://2"}, After: &activities.Attempt{PodUID: "p", Container: "jobmanager", Number: 1}}
	ends, err = a.containerEnds(ctx, unseen)
	require.NoError(t, err)
	require.Empty(t, ends.Ends)
	require.NoError(t, a.Store.RecordContainerEnd(ctx, store.ContainerEnd{ContainerID: "containerd://3", JobUID: uid, PodUID: "p", Container: "jobmanager", Attempt: 2}))
	ends, err = a.containerEnds(ctx, unseen)
	require.NoError(t, err)
	require.Equal(t, []activities.ContainerEnd{{ContainerID: "containerd://3", PodUID: "p"}}, ends.Ends)
}

type registry map[string]bool

func (r registry) RegisterActivityWithOptions(_ any, options activity.RegisterOptions) {
	r[options.Name] = true
}

func TestEveryDefIsRegistered(t *testing.T) {
	names := registry{}
	(&Activities{}).Register(names)
	for _, name := range []string{
		activities.Claim.Name, activities.Resolve.Name, activities.Snapshots.Name, activities.RecordSnapshot.Name,
		activities.Commit.Name, activities.Finish.Name, activities.ContainerEnds.Name, activities.RecordIncident.Name, activities.PastOperations.Name, activities.RecordEnds.Name,
	} {
		require.True(t, names[name], name)
	}
	require.Len(t, names, 10)
}
