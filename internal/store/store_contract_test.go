//go:build contract

package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

// open makes a Store on a database of its own, dropped at the end.
func open(t *testing.T, options store.Options) *store.Store {
	t.Helper()
	config, err := mysql.ParseDSN(os.Getenv("SLUICE_DATABASE_DSN"))
	require.NoError(t, err, "SLUICE_DATABASE_DSN")
	admin, err := sql.Open("mysql", config.FormatDSN())
	require.NoError(t, err)
	name := "sluice_test_" + strings.ToLower(rand.Text()[:12])
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name)
		require.NoError(t, err)
		require.NoError(t, admin.Close())
	})
	config.DBName = name
	s, err := store.Open(config.FormatDSN(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func migrated(t *testing.T) *store.Store {
	t.Helper()
	s := open(t, store.Options{})
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

var orders = job.Ref{Tenant: "shop", Name: "orders"}

func spec(arguments ...string) job.Spec {
	return job.Spec{
		Engine: job.Engine{Name: "flink", Version: "1.20.5"}, Artifact: "sha256:" + strings.Repeat("a", 64), EntryClass: "io.sluice.jobs.Counter",
		Arguments: arguments, Options: map[string]string{"state.backend.type": "hashmap"},
	}
}

func put(t *testing.T, s *store.Store) store.PutResult {
	t.Helper()
	result, err := s.PutJob(t.Context(), orders, "dc1", spec(), "anna")
	require.NoError(t, err)
	return result
}

func TestMigrateTogetherAndAgain(t *testing.T) {
	s := open(t, store.Options{})
	var together sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		together.Go(func() { errs[i] = s.Migrate(context.Background()) })
	}
	together.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, s.Migrate(t.Context()))
}

func TestPutJobMakesARevisionOnlyWhenTheDigestDiffers(t *testing.T) {
	s := migrated(t)
	first := put(t, s)
	require.True(t, first.JobCreated && first.NewRevision)
	require.Equal(t, 1, first.Revision.Number)
	require.Equal(t, store.New, first.Job.State.State)

	again := put(t, s)
	require.False(t, again.JobCreated || again.NewRevision)
	require.Equal(t, first.Job.UID, again.Job.UID)

	second, err := s.PutJob(t.Context(), orders, "dc1", spec("--v", "2"), "anna")
	require.NoError(t, err)
	require.Equal(t, 2, second.Revision.Number)

	back := put(t, s) // differs from the newest, so it is new
	require.Equal(t, 3, back.Revision.Number)
	require.Equal(t, first.Revision.Digest, back.Revision.Digest)

	read, err := s.Revision(t.Context(), first.Job.UID, 2)
	require.NoError(t, err)
	require.Equal(t, spec("--v", "2"), read.Spec)
	require.Equal(t, read.Digest, read.Spec.Digest(), "a spec keeps its digest through the database")

	_, err = s.PutJob(t.Context(), orders, "dc2", spec(), "anna")
	require.Equal(t, failure.Conflict, failure.CodeOf(err))
}

func TestTextComesBackAsItWas(t *testing.T) {
	s := migrated(t)
	odd := spec(`it's "quoted" \ and \' -- ; DROP TABLE jobs`, "snow \u2603, clef \U0001D11E", "tab\tline\n?, %s, $1", "<&>")
	result, err := s.PutJob(t.Context(), orders, "dc1", odd, `O'Brien \`)
	require.NoError(t, err)
	read, err := s.Revision(t.Context(), result.Job.UID, 1)
	require.NoError(t, err)
	require.Equal(t, odd, read.Spec)
	require.Equal(t, `O'Brien \`, read.CreatedBy)
}

func TestPutJobTogetherNumbersWithoutGapsOrDoubles(t *testing.T) {
	s := migrated(t)
	const writers = 16
	var together sync.WaitGroup
	results := make([]store.PutResult, writers)
	errs := make([]error, writers)
	for i := range writers {
		together.Go(func() {
			results[i], errs[i] = s.PutJob(context.Background(), orders, "dc1", spec(fmt.Sprint(i)), "anna")
		})
	}
	together.Wait()
	numbers, created := map[int]bool{}, 0
	for i := range writers {
		require.NoError(t, errs[i])
		numbers[results[i].Revision.Number] = true
		require.Equal(t, results[0].Job.UID, results[i].Job.UID)
		if results[i].JobCreated {
			created++
		}
	}
	require.Len(t, numbers, writers)
	require.True(t, numbers[1] && numbers[writers])
	require.Equal(t, 1, created)
}

func TestListsPage(t *testing.T) {
	s := migrated(t)
	for _, name := range []string{"a", "b", "c"} {
		_, err := s.PutJob(t.Context(), job.Ref{Tenant: "shop", Name: name}, "dc1", spec(), "anna")
		require.NoError(t, err)
	}
	_, err := s.PutJob(t.Context(), job.Ref{Tenant: "other", Name: "z"}, "dc1", spec(), "anna")
	require.NoError(t, err)
	page, err := s.Jobs(t.Context(), "shop", "a", 1)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "b", page[0].Name)
	require.Equal(t, 1, page[0].Newest)
	empty, err := s.Jobs(t.Context(), "nobody", "", 10)
	require.NoError(t, err)
	require.Empty(t, empty)

	_, err = s.Job(t.Context(), job.Ref{Tenant: "shop", Name: "z"})
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	_, err = s.Revision(t.Context(), page[0].UID, 7)
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
}

func TestCommitIsOrderedByEpoch(t *testing.T) {
	s := migrated(t)
	uid := put(t, s).Job.UID
	running := store.State{JobUID: uid, Revision: 1, Profile: "ordinary", State: store.Running, Epoch: 1, Generation: 1, Operation: "op1"}
	stopped := store.State{JobUID: uid, Revision: 1, Profile: "ordinary", State: store.Stopped, Epoch: 1, Generation: 1, Operation: "op2"}
	require.NoError(t, s.Commit(t.Context(), running))
	require.NoError(t, s.Commit(t.Context(), running), "a repeat")
	require.NoError(t, s.Commit(t.Context(), stopped))
	require.Equal(t, failure.Refused, failure.CodeOf(s.Commit(t.Context(), running)), "a late repeat of the start")
	next := running
	next.Epoch, next.Generation, next.Operation = 2, 2, "op3"
	require.NoError(t, s.Commit(t.Context(), next))
	require.Equal(t, failure.Refused, failure.CodeOf(s.Commit(t.Context(), stopped)), "a late repeat of the stop")
	read, err := s.Job(t.Context(), orders)
	require.NoError(t, err)
	require.Equal(t, int64(2), read.State.Epoch)
	require.Equal(t, spec().Digest(), read.State.Digest)

	missing := running
	missing.JobUID = "nobody"
	require.Equal(t, failure.NotFound, failure.CodeOf(s.Commit(t.Context(), missing)))
}

func TestARollbackIsInForceUntilANewerRevisionIs(t *testing.T) {
	s := migrated(t)
	uid := put(t, s).Job.UID
	for i := range 2 { // revisions 2 and 3
		body := spec()
		body.Arguments = []string{fmt.Sprint(i)}
		_, err := s.PutJob(t.Context(), orders, "dc1", body, "anna")
		require.NoError(t, err)
	}
	_, err := s.Committed(t.Context(), uid, 3)
	require.Equal(t, failure.NotFound, failure.CodeOf(err), "none ever ran")
	epoch := int64(0)
	commits := func(state string, revision, withdrawn int) store.State {
		epoch++
		require.NoError(t, s.Commit(t.Context(), store.State{
			JobUID: uid, Revision: revision, Profile: "ordinary", State: state, Epoch: epoch, Generation: 1, Operation: "op", Withdrawn: withdrawn,
		}))
		read, err := s.Job(t.Context(), orders)
		require.NoError(t, err)
		return read.State
	}
	commits(store.Running, 1, 0)
	commits(store.Stopped, 2, 0) // it ended before it was proven
	commits(store.Running, 3, 0)
	before, err := s.Committed(t.Context(), uid, 3)
	require.NoError(t, err)
	require.Equal(t, 1, before.Number, "2 never ran well")
	require.Equal(t, 3, commits(store.Running, 1, 3).Withdrawn)
	require.Equal(t, 3, commits(store.Stopped, 1, 0).Withdrawn, "a stop keeps it")
	require.Equal(t, 3, commits(store.Running, 2, 0).Withdrawn)
	require.Zero(t, commits(store.Running, 3, 0).Withdrawn, "the newest was named")
}

func TestRequestKeys(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, store.Options{Now: func() time.Time { return now }})
	require.NoError(t, s.Migrate(t.Context()))
	uid := put(t, s).Job.UID
	request := store.NewOperation{JobUID: uid, Job: orders, Request: job.Request{Kind: job.Start}, Key: "k1", By: "anna"}

	first, repeat, err := s.InsertOperation(t.Context(), request)
	require.NoError(t, err)
	require.False(t, repeat)
	again, repeat, err := s.InsertOperation(t.Context(), request)
	require.NoError(t, err)
	require.True(t, repeat)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, request.Request, again.Request)

	other := request
	other.Request.Kind = job.Stop
	_, _, err = s.InsertOperation(t.Context(), other)
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
	require.Equal(t, first.ID, failure.Of(err).Details["operation"])

	elsewhere := request
	elsewhere.Job.Tenant = "other"
	foreign, repeat, err := s.InsertOperation(t.Context(), elsewhere)
	require.NoError(t, err)
	require.False(t, repeat, "keys are a tenant's own")
	require.NotEqual(t, first.ID, foreign.ID)

	now = now.Add(store.KeyLife + time.Second)
	late, repeat, err := s.InsertOperation(t.Context(), other)
	require.NoError(t, err)
	require.False(t, repeat, "the key is free again after its life")
	kept, err := s.Operation(t.Context(), "shop", first.ID)
	require.NoError(t, err, "its operation stays")
	require.Nil(t, kept.IdempotencyKey)
	require.NotEqual(t, first.ID, late.ID)
}

func TestSameKeyTogetherMakesOneOperation(t *testing.T) {
	s := migrated(t)
	request := store.NewOperation{JobUID: put(t, s).Job.UID, Job: orders, Request: job.Request{Kind: job.Start}, Key: "k", By: "anna"}
	const senders = 12
	var together sync.WaitGroup
	ids := make([]string, senders)
	errs := make([]error, senders)
	for i := range senders {
		together.Go(func() {
			row, _, err := s.InsertOperation(context.Background(), request)
			ids[i], errs[i] = row.ID, err
		})
	}
	together.Wait()
	for i := range senders {
		require.NoError(t, errs[i])
		require.Equal(t, ids[0], ids[i])
	}
}

func TestClaimListFinish(t *testing.T) {
	s := migrated(t)
	uid := put(t, s).Job.UID
	row, _, err := s.InsertOperation(t.Context(), store.NewOperation{JobUID: uid, Job: orders, Request: job.Request{Kind: job.Start}, Key: "k", By: "anna"})
	require.NoError(t, err)
	listed, err := s.Operations(t.Context(), store.OperationFilter{Tenant: "shop", Limit: 10})
	require.NoError(t, err)
	require.Empty(t, listed, "an unclaimed row is not listed")

	for _, run := range []string{"run-1", "run-1", "run-2"} {
		holder, err := s.Claim(t.Context(), row.ID, run)
		require.NoError(t, err)
		require.Equal(t, "run-1", holder, "claimed by %s", run)
	}
	_, err = s.Claim(t.Context(), "nothing", "run-1")
	require.Equal(t, failure.NotFound, failure.CodeOf(err))
	require.NoError(t, s.Discard(t.Context(), row.ID))
	listed, err = s.Operations(t.Context(), store.OperationFilter{Tenant: "shop", JobUID: uid, Limit: 10})
	require.NoError(t, err)
	require.Len(t, listed, 1, "a claimed row is never discarded")

	require.NoError(t, s.Finish(t.Context(), row.ID, job.Committed, []byte(`{"a":1}`)))
	ended, err := s.Operation(t.Context(), "shop", row.ID)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(ended.Result))
	require.NoError(t, s.Finish(t.Context(), row.ID, job.Committed, []byte(`{"a":1}`)), "a repeat")
	results, err := s.CommittedResults(t.Context(), row.JobUID)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(`{"a":1}`)}, results)
	again, err := s.Operation(t.Context(), "shop", row.ID)
	require.NoError(t, err)
	require.Equal(t, ended.EndedAt, again.EndedAt)
	require.Equal(t, failure.Refused, failure.CodeOf(s.Finish(t.Context(), row.ID, job.Failed, nil)))
	require.Equal(t, failure.NotFound, failure.CodeOf(s.Finish(t.Context(), "nothing", job.Failed, nil)))

	_, err = s.Operation(t.Context(), "other", row.ID)
	require.Equal(t, failure.NotFound, failure.CodeOf(err), "another tenant's operation")
}

func TestLedger(t *testing.T) {
	s := migrated(t)
	uid := put(t, s).Job.UID
	ever, err := s.EverSnapshot(t.Context(), uid)
	require.NoError(t, err)
	require.False(t, ever)
	for _, row := range []store.Snapshot{{Epoch: 1, CheckpointID: 900, Path: "hdfs://nn/a"}, {Epoch: 2, CheckpointID: 3, Path: "hdfs://nn/b"}, {Epoch: 2, CheckpointID: 10, Path: "hdfs://nn/c"}} {
		row.JobUID, row.Kind, row.Engine = uid, "savepoint", "flink 1.20.5"
		require.NoError(t, s.RecordSnapshot(t.Context(), row))
		require.NoError(t, s.RecordSnapshot(t.Context(), row), "a repeat")
	}
	require.NoError(t, s.MarkGone(t.Context(), uid, "hdfs://nn/c"))
	complete, err := s.Snapshots(t.Context(), uid, false)
	require.NoError(t, err)
	require.Len(t, complete, 2)
	require.Equal(t, "hdfs://nn/b", complete[0].Path, "epoch before id: ids restart at 1")
	all, err := s.Snapshots(t.Context(), uid, true)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, store.Gone, all[0].State)
}

func TestContainerEnds(t *testing.T) {
	s := migrated(t)
	end := store.ContainerEnd{ContainerID: "containerd://1", PodUID: "p", Pod: "orders-g1-jobmanager-0", Namespace: "shop", JobUID: "u", Generation: 1, Role: "jobmanager", ExitCode: 143, FinishedAt: "2026-11-01T12:00:00Z", Source: "a person's word"}
	require.NoError(t, s.RecordContainerEnd(t.Context(), end))
	end.ExitCode = 1
	require.NoError(t, s.RecordContainerEnd(t.Context(), end), "a repeat")
	ends, err := s.ContainerEnds(t.Context(), "u", 1, nil)
	require.NoError(t, err)
	require.Len(t, ends, 1)
	require.Equal(t, int32(143), ends[0].ExitCode, "the first proof stays")
	require.Equal(t, "a person's word", ends[0].Source)
	named, err := s.ContainerEnds(t.Context(), "u", 0, []string{"containerd://1", "containerd://2"})
	require.NoError(t, err)
	require.Len(t, named, 1)
	none, err := s.ContainerEnds(t.Context(), "u", 2, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestIncidents(t *testing.T) {
	s := migrated(t)
	none, err := s.LastIncident(t.Context(), "u")
	require.NoError(t, err)
	require.Nil(t, none)
	for _, in := range []store.Incident{
		{ID: "a", JobUID: "u", Epoch: 2, ExitCode: 137, Reason: "OOMKilled", FinishedAt: "2026-11-01T12:00:00Z", Operation: "OP"},
		{ID: "a", JobUID: "u", Epoch: 2, ExitCode: 1}, // a repeat
		{ID: "b", JobUID: "u", Epoch: 1},              // comes late
		{ID: "c", JobUID: "v", Epoch: 9},
	} {
		require.NoError(t, s.RecordIncident(t.Context(), in))
	}
	last, err := s.LastIncident(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, "a", last.ID, "by epoch, not by clock")
	require.EqualValues(t, 137, last.ExitCode, "the first telling stays")
	require.Equal(t, "OP", last.Operation)
	require.NoError(t, s.RecordIncident(t.Context(), store.Incident{ID: "h", JobUID: "u", Epoch: 3, Kind: job.IncidentHold, HeldBy: "DEAD"}))
	last, err = s.LastIncident(t.Context(), "u")
	require.NoError(t, err)
	require.Equal(t, []string{"h", job.IncidentHold, "DEAD"}, []string{last.ID, last.Kind, last.HeldBy})
}

// A later container of the same name in the same pod proves an earlier one's end;
// no other container does.
func TestLaterEnds(t *testing.T) {
	s := migrated(t)
	for _, end := range []store.ContainerEnd{
		{ContainerID: "containerd://first", PodUID: "p", Container: "jobmanager", Attempt: 1, JobUID: "u"},
		{ContainerID: "containerd://third", PodUID: "p", Container: "jobmanager", Attempt: 3, JobUID: "u"},
		{ContainerID: "containerd://fetch", PodUID: "p", Container: "fetch", Attempt: 9, JobUID: "u"},
		{ContainerID: "containerd://other", PodUID: "q", Container: "jobmanager", Attempt: 9, JobUID: "u"},
		{ContainerID: "containerd://older", PodUID: "p", JobUID: "u"}, // by a release that counted none
		{ContainerID: "containerd://alien", PodUID: "p", Container: "jobmanager", Attempt: 9, JobUID: "v"},
	} {
		require.NoError(t, s.RecordContainerEnd(t.Context(), end))
	}
	for attempt, proven := range map[int][]string{0: nil, 1: {"containerd://third"}, 2: {"containerd://third"}, 3: nil, 4: nil} {
		ends, err := s.LaterEnds(t.Context(), "u", "p", "jobmanager", attempt)
		require.NoError(t, err)
		var ids []string
		for _, end := range ends {
			ids = append(ids, end.ContainerID)
		}
		require.Equal(t, proven, ids, "after attempt %d", attempt)
	}
}

func TestProfiles(t *testing.T) {
	s := migrated(t)
	built, err := s.Profile(t.Context(), "shop", job.OrdinaryProfile)
	require.NoError(t, err)
	require.True(t, built.BuiltIn)
	_, err = s.Profile(t.Context(), "shop", "promotion")
	require.Equal(t, failure.NotFound, failure.CodeOf(err))

	body := job.DefaultProfile()
	body.Name, body.Parallelism = "promotion", 1
	created, err := s.PutProfile(t.Context(), "shop", body, "anna")
	require.NoError(t, err)
	require.True(t, created)
	body.Parallelism = 2
	created, err = s.PutProfile(t.Context(), "shop", body, "anna")
	require.NoError(t, err)
	require.False(t, created)
	list, err := s.Profiles(t.Context(), "shop")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, job.OrdinaryProfile, list[0].Name)
	require.Equal(t, body, list[1].Body)
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	s, err := store.Open("sluice:hidden-password@tcp("+address+")/sluice", store.Options{})
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	_, err = s.Job(t.Context(), orders)
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
	require.NotContains(t, err.Error(), "hidden-password")
	require.Equal(t, failure.Unavailable, failure.CodeOf(s.Migrate(t.Context())))

	_, err = store.Open("nonsense hidden-password", store.Options{})
	require.Equal(t, failure.Invalid, failure.CodeOf(err))
	require.NotContains(t, err.Error(), "hidden-password")
}
