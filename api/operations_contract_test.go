//go:build contract

package api

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

// These tests need a record store (SLUICE_DATABASE_DSN) and a Temporal server
// (TEMPORAL_ADDRESS). Each run has a database and a namespace of its own, so
// that no worker of the stack takes its workflows. The workflow is a double that
// can be held and let go; the record's activities are the real ones.

func database(t *testing.T) *store.Store {
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
	return records
}

func namespace(t *testing.T) client.Client {
	t.Helper()
	options := client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS"), Namespace: "sluice-test-" + strings.ToLower(rand.Text()[:10]), Logger: quiet{}}
	require.NotEmpty(t, options.HostPort, "TEMPORAL_ADDRESS")
	admin, err := client.NewNamespaceClient(options)
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Register(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: options.Namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}))
	c, err := client.NewLazyClient(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	attributes := map[string]enums.IndexedValueType{"SluiceRevision": enums.INDEXED_VALUE_TYPE_INT}
	for _, name := range []string{"SluiceTenant", "SluiceJob", "SluiceSite", "SluiceOperation", "SluiceKind", "SluicePhase"} {
		attributes[name] = enums.INDEXED_VALUE_TYPE_KEYWORD
	}
	require.Eventually(t, func() bool { // a new namespace is known everywhere only after a while
		_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: options.Namespace, SearchAttributes: attributes})
		return err == nil || strings.Contains(err.Error(), "already exist")
	}, 30*time.Second, 100*time.Millisecond)
	t.Cleanup(func() {
		_, _ = c.OperatorService().DeleteNamespace(context.Background(), &operatorservice.DeleteNamespaceRequest{Namespace: options.Namespace})
	})
	return c
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// double behaves towards the api as upgrade.Workflow does.
func double(ctx workflow.Context, in upgrade.Input) (upgrade.Progress, error) {
	p := upgrade.Progress{Operation: in.Operation, Job: in.Job, Kind: in.Request.Kind, Phase: job.Planning, Cancelable: true, RequestedBy: in.RequestedBy, Version: 1}
	canceled := false
	if err := workflow.SetQueryHandler(ctx, upgrade.QueryProgress, func() (upgrade.Progress, error) { return p, nil }); err != nil {
		return p, err
	}
	err := workflow.SetUpdateHandler(ctx, upgrade.UpdateCancel, func(_ workflow.Context, reason string) error {
		canceled, p.Evidence = true, append(p.Evidence, reason)
		return nil
	})
	if err != nil {
		return p, err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, upgrade.UpdateRetry, func(workflow.Context, string) error { return nil },
		workflow.UpdateHandlerOptions{Validator: func(string) error {
			return ontemporal.Error(failure.New(failure.Refused, "the operation doesn't wait for a decision"))
		}})
	if err != nil {
		return p, err
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	run, holder := workflow.GetInfo(ctx).WorkflowExecution.RunID, ""
	if err := workflow.ExecuteActivity(ctx, "claim", in.Operation, run).Get(ctx, &holder); err != nil || holder != run {
		return p, err
	}
	p.Phase, p.Version = job.Preparing, 2
	workflow.Go(ctx, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, "step").Receive(ctx, nil); ; workflow.GetSignalChannel(ctx, "step").Receive(ctx, nil) {
			p.Steps = append(p.Steps, upgrade.Step{Name: "step", State: "done", StartedAt: "now", DurationMS: 5})
			p.Version++
		}
	})
	if err := workflow.Await(ctx, func() bool { return canceled || len(p.Steps) >= 2 }); err != nil {
		return p, err
	}
	p.Phase, p.DowntimeMS = job.Committed, 1234
	if canceled {
		p.Phase = job.Canceled
	}
	p.Version++
	result, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	return p, workflow.ExecuteActivity(ctx, "finish", in.Operation, p.Phase, result).Get(ctx, nil)
}

func (a answer) json(status int, into any) {
	a.t.Helper()
	require.Equal(a.t, status, a.Code, a.Body.String())
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), into))
}

type stage struct {
	*world
	temporal client.Client
	records  *store.Store
	path     string
}

func newStage(t *testing.T) *stage {
	records, c := database(t), namespace(t)
	s := &stage{world: assemble(t, records, c), temporal: c, records: records, path: "/v1/tenants/shop/jobs/orders"}
	s.files.known["sha256:"+strings.Repeat("a", 64)] = 1
	answer := s.do(operatorToken, "PUT", s.path, fmt.Sprintf(validJob, strings.Repeat("a", 64)))
	require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
	return s
}

func (s *stage) work() {
	w := worker.New(s.temporal, job.FlowQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(double, workflow.RegisterOptions{Name: upgrade.WorkflowName})
	w.RegisterActivityWithOptions(s.records.Claim, activity.RegisterOptions{Name: "claim"})
	w.RegisterActivityWithOptions(s.records.Finish, activity.RegisterOptions{Name: "finish"})
	require.NoError(s.t, w.Start())
	s.t.Cleanup(w.Stop)
}

func (s *stage) start(body, key string) answer {
	return s.do(operatorToken, "POST", s.path+"/operations", body, "Idempotency-Key", key)
}

func (s *stage) operation(id, query string) gen.Operation {
	s.t.Helper()
	var o gen.Operation
	s.do(viewerToken, "GET", "/v1/tenants/shop/operations/"+id+query, "").json(http.StatusOK, &o)
	return o
}

func (s *stage) step() {
	require.NoError(s.t, s.temporal.SignalWorkflow(s.t.Context(), "job/shop/orders", "", "step", nil))
}

// prepares long-polls until the operation has begun to prepare.
func (s *stage) prepares(id string) gen.Operation {
	s.t.Helper()
	var o gen.Operation
	require.Eventually(s.t, func() bool {
		o = s.operation(id, fmt.Sprintf("?wait=5s&version=%d", o.Progress.Version))
		return o.Phase == string(job.Preparing)
	}, 60*time.Second, time.Millisecond)
	return o
}

// ends long-polls until the operation is over.
func (s *stage) ends(id string) gen.Operation {
	s.t.Helper()
	var o gen.Operation
	require.Eventually(s.t, func() bool {
		o = s.operation(id, fmt.Sprintf("?wait=5s&version=%d", o.Progress.Version))
		return o.Final
	}, 60*time.Second, time.Millisecond)
	return o
}

func TestARunEndedFromOutsideIsOver(t *testing.T) {
	s := newStage(t)
	s.work()
	var accepted gen.Accepted
	s.start(`{"kind":"start"}`, "k").json(http.StatusAccepted, &accepted)
	o := s.prepares(accepted.Operation)
	over := make(chan gen.Operation)
	go func() {
		over <- s.operation(accepted.Operation, fmt.Sprintf("?wait=30s&version=%d", o.Progress.Version))
	}()
	require.NoError(t, s.temporal.TerminateWorkflow(t.Context(), "job/shop/orders", "", "by hand"))
	o = <-over
	require.True(t, o.Final)
	require.Equal(t, unknownPhase, o.Phase)
	require.Contains(t, o.ProgressUnavailable, "from outside")
	require.Equal(t, http.StatusAccepted, s.start(`{"kind":"start"}`, "k2").Code, "the lock is free")
}

func TestAnOperationFromStartToEnd(t *testing.T) {
	s := newStage(t)
	s.work()
	first := s.start(`{"kind":"upgrade","strategy":"cold","revision":1,"reason":"a `+"`tick`"+`"}`, "key-1")
	var accepted gen.Accepted
	first.json(http.StatusAccepted, &accepted)
	self := "/v1/tenants/shop/operations/" + accepted.Operation
	require.Equal(t, self, first.Header().Get("Location"))
	require.Equal(t, self, accepted.Links.Self)
	require.Contains(t, accepted.Links.TemporalUI, "http://ui:8233/namespaces/default/workflows/job%2Fshop%2Forders/")

	o := s.prepares(accepted.Operation)
	again := s.start(`{"kind":"upgrade","strategy":"cold","revision":1,"reason":"a `+"`tick`"+`"}`, "key-1")
	require.Equal(t, http.StatusAccepted, again.Code)
	require.Equal(t, first.Body.String(), again.Body.String(), "the same answer")
	s.start(`{"kind":"stop"}`, "key-1").problem(failure.Invalid)

	busy := s.start(`{"kind":"stop"}`, "key-2").problem(failure.Busy)
	require.Equal(t, accepted.Operation, busy.Details["operation"])
	require.Equal(t, self, busy.Details["link"])
	require.NotEmpty(t, busy.Next)
	s.do(operatorToken, "POST", s.path+"/operations", `{"kind":"stop"}`).problem(failure.Busy) // without a key

	described, err := s.temporal.DescribeWorkflow(t.Context(), "job/shop/orders", "")
	require.NoError(t, err)
	tenant, _ := described.TypedSearchAttributes.GetKeyword(upgrade.AttributeTenant)
	revision, _ := described.TypedSearchAttributes.GetInt64(upgrade.AttributeRevision)
	require.Equal(t, "shop", tenant)
	require.Equal(t, int64(1), revision)

	var list gen.OperationList
	s.do(viewerToken, "GET", s.path+"/operations", "").json(http.StatusOK, &list)
	require.Len(t, list.Items, 1, "unclaimed ones are not listed")
	require.Equal(t, "preparing", list.Items[0].Phase)

	// A long poll answers when something changes, not before and not at its end.
	changed := make(chan gen.Operation)
	go func() {
		changed <- s.operation(accepted.Operation, fmt.Sprintf("?wait=30s&version=%d", o.Progress.Version))
	}()
	began := time.Now()
	s.step()
	next := <-changed
	require.Greater(t, next.Progress.Version, o.Progress.Version)
	require.Less(t, time.Since(began), 20*time.Second)
	quietly := time.Now()
	same := s.operation(accepted.Operation, fmt.Sprintf("?wait=300ms&version=%d", next.Progress.Version))
	require.Equal(t, next.Progress.Version, same.Progress.Version)
	require.GreaterOrEqual(t, time.Since(quietly), 300*time.Millisecond)

	s.overTheWire(self, next.Progress.Version)

	s.do(operatorToken, "POST", self+"/retry", "").problem(failure.Refused)
	s.step()
	end := s.ends(accepted.Operation)
	require.Equal(t, "committed", end.Phase)
	require.Equal(t, int64(1234), end.Progress.DowntimeMs)
	require.Len(t, end.Progress.Steps, 2)
	require.Equal(t, "otto", end.CreatedBy)
	s.do(operatorToken, "POST", self+"/cancel", `{"reason":"too late"}`).problem(failure.Refused)

	// The key of the busy request starts its operation now that the job is free.
	var second gen.Accepted
	s.start(`{"kind":"stop"}`, "key-2").json(http.StatusAccepted, &second)
	s.prepares(second.Operation)
	s.do(operatorToken, "POST", "/v1/tenants/shop/operations/"+second.Operation+"/cancel", `{"reason":"changed my mind"}`)
	canceled := s.ends(second.Operation)
	require.Equal(t, "canceled", canceled.Phase)
	require.Equal(t, []string{"changed my mind (by otto)"}, canceled.Progress.Evidence)
}

// overTheWire long-polls for longer than a body may take to arrive.
func (s *stage) overTheWire(path string, version int64) {
	s.t.Helper()
	s.api.bodyTimeout = 100 * time.Millisecond
	defer func() { s.api.bodyTimeout = bodyTimeout }()
	server := httptest.NewServer(s.api.web)
	defer server.Close()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, fmt.Sprintf("%s%s?wait=700ms&version=%d", server.URL, path, version), nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+viewerToken)
	response, err := server.Client().Do(request)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	var o gen.Operation
	require.NoError(s.t, json.NewDecoder(response.Body).Decode(&o))
	require.Equal(s.t, version, o.Progress.Version)
}

func TestARepeatAfterALostStartStartsTheSameOperation(t *testing.T) {
	s := newStage(t)
	found, err := s.records.Job(t.Context(), job.Ref{Tenant: "shop", Name: "orders"})
	require.NoError(t, err)
	// The row was written, then the process died.
	row, _, err := s.records.InsertOperation(t.Context(), store.NewOperation{JobUID: found.UID, Job: found.Ref(), Request: job.Request{Kind: job.Start}, Key: "lost", By: "otto"})
	require.NoError(t, err)
	lost := s.operation(row.ID, "")
	require.Equal(t, "planning", lost.Phase)
	require.NotEmpty(t, lost.ProgressUnavailable)

	var accepted, again gen.Accepted
	s.start(`{"kind":"start"}`, "lost").json(http.StatusAccepted, &accepted)
	require.Equal(t, row.ID, accepted.Operation)
	// Started, but no worker claimed it yet: the lock's memo says that it is ours.
	s.start(`{"kind":"start"}`, "lost").json(http.StatusAccepted, &again)
	require.Equal(t, accepted, again)
	s.work()
	s.prepares(row.ID)
}

func TestARunThatLosesTheClaimSaysWhoHoldsIt(t *testing.T) {
	s := newStage(t)
	s.work()
	var accepted gen.Accepted
	s.start(`{"kind":"start"}`, "k").json(http.StatusAccepted, &accepted)
	s.prepares(accepted.Operation)
	run, err := s.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "another", TaskQueue: job.FlowQueue}, upgrade.WorkflowName,
		upgrade.Input{Operation: accepted.Operation, Job: job.Ref{Tenant: "shop", Name: "orders"}})
	require.NoError(t, err)
	var p upgrade.Progress
	require.NoError(t, run.Get(t.Context(), &p))
	require.Equal(t, job.Planning, p.Phase, "it ended without effects")
}

func TestStartsAreChecked(t *testing.T) {
	s := newStage(t)
	for name, c := range map[string]struct {
		token, body, key string
		want             failure.Code
	}{
		"unknown kind":           {operatorToken, `{"kind":"explode"}`, "a", failure.Invalid},
		"unknown revision":       {operatorToken, `{"kind":"upgrade","revision":9}`, "b", failure.Invalid},
		"unknown profile":        {operatorToken, `{"kind":"upgrade","profile":"huge"}`, "c", failure.Invalid},
		"key with blanks":        {operatorToken, `{"kind":"start"}`, "a b", failure.Invalid},
		"stateless, operator":    {operatorToken, `{"kind":"start","stateless":true}`, "d", failure.Forbidden},
		"state may go, operator": {operatorToken, `{"kind":"upgrade","allowStateLoss":true}`, "g", failure.Forbidden},
		"unknown property":       {operatorToken, `{"kind":"start","force":true}`, "e", failure.Invalid},
		"viewer":                 {viewerToken, `{"kind":"start"}`, "f", failure.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			answered := s.do(c.token, "POST", s.path+"/operations", c.body, "Idempotency-Key", c.key)
			answered.t = t // it is the case that fails
			answered.problem(c.want)
		})
	}
	s.do(operatorToken, "POST", "/v1/tenants/shop/jobs/nothing/operations", `{"kind":"start"}`).problem(failure.NotFound)
	s.do(viewerToken, "GET", "/v1/tenants/shop/operations/01JXXXXXXXXXXXXXXXXXXXXXXX", "").problem(failure.NotFound)
	require.Equal(t, http.StatusAccepted, s.do(adminToken, "POST", s.path+"/operations", `{"kind":"start","stateless":true}`).Code)
}

func TestWithoutAWorkerTheRowSpeaks(t *testing.T) {
	s := newStage(t)
	var accepted gen.Accepted
	s.start(`{"kind":"start"}`, "k").json(http.StatusAccepted, &accepted)
	o := s.operation(accepted.Operation, "")
	require.False(t, o.Final)
	require.NotEmpty(t, o.ProgressUnavailable)
}

func TestJobsOverHTTP(t *testing.T) {
	s := newStage(t)
	var j gen.Job
	s.do(operatorToken, "PUT", s.path, fmt.Sprintf(validJob, strings.Repeat("a", 64))).json(http.StatusOK, &j)
	require.Equal(t, 1, j.Revision.Number)
	require.Equal(t, "new", j.Current.State)
	s.do(viewerToken, "GET", j.Links.Self, "").json(http.StatusOK, &j)
	require.Equal(t, "otto", j.Revision.CreatedBy)
	moved := strings.Replace(fmt.Sprintf(validJob, strings.Repeat("a", 64)), "dc1", "dc2", 1)
	s.do(operatorToken, "PUT", s.path, moved).problem(failure.Conflict)

	var jobs gen.JobList
	s.do(viewerToken, "GET", "/v1/tenants/shop/jobs?limit=1", "").json(http.StatusOK, &jobs)
	require.Len(t, jobs.Items, 1)
	s.do(viewerToken, "GET", jobs.Next, "").json(http.StatusOK, &jobs)
	require.Empty(t, jobs.Items)
	var revisions gen.RevisionList
	s.do(viewerToken, "GET", j.Links.Revisions, "").json(http.StatusOK, &revisions)
	require.Len(t, revisions.Items, 1)
	s.do(viewerToken, "GET", j.Links.Revisions+"/2", "").problem(failure.NotFound)
	var snapshots gen.SnapshotList
	s.do(viewerToken, "GET", j.Links.Snapshots, "").json(http.StatusOK, &snapshots)
	require.Empty(t, snapshots.Items)

	profile := `{"jobManager":{"cpu":"500m","memoryMiB":1024},"taskManager":{"cpu":"1","memoryMiB":1728,"replicas":2,"slots":2},"parallelism":4}`
	require.Equal(t, http.StatusCreated, s.do(adminToken, "PUT", "/v1/tenants/shop/profiles/big", profile).Code)
	require.Equal(t, http.StatusOK, s.do(adminToken, "PUT", "/v1/tenants/shop/profiles/big", profile).Code)
	bad := strings.Replace(profile, `"parallelism":4`, `"parallelism":5`, 1)
	require.Equal(t, []string{"/parallelism"}, fieldNames(s.do(adminToken, "PUT", "/v1/tenants/shop/profiles/big", bad).problem(failure.Invalid)))
	var profiles gen.ProfileList
	s.do(viewerToken, "GET", "/v1/tenants/shop/profiles", "").json(http.StatusOK, &profiles)
	require.Len(t, profiles.Items, 2)
	require.True(t, profiles.Items[1].BuiltIn)
}
