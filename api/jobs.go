package api

import (
	"context"
	"strconv"
	"time"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

// PutJob declares how a job runs. The door has checked the body's structure; here
// all values are checked, and all that is wrong with them is listed at once.
func (a *API) PutJob(ctx context.Context, request gen.PutJobRequestObject) (gen.PutJobResponseObject, error) {
	ref := job.Ref{Tenant: request.Tenant, Name: request.Job}
	spec := toSpec(request.Body.Spec)
	wrong, err := a.checkJob(ctx, ref, request.Body.Site, spec)
	if err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		return nil, failure.New(failure.Invalid, "job %s is not valid: %d fields", ref, len(wrong)).
			WithFields(wrong...).WithNext("correct the fields listed and send it again; nothing was changed")
	}
	put, err := a.store.PutJob(ctx, ref, request.Body.Site, spec, caller(ctx).Subject)
	if err != nil {
		return nil, err
	}
	answer := fromJob(put.Job)
	answer.Revision = fromRevision(put.Revision)
	if !put.NewRevision && !put.JobCreated {
		return gen.PutJob200JSONResponse(answer), nil
	}
	location := jobPath(ref) + "/revisions/" + itoa(put.Revision.Number)
	return gen.PutJob201JSONResponse{Body: answer, Headers: gen.PutJob201ResponseHeaders{Location: location}}, nil
}

func (a *API) checkJob(ctx context.Context, ref job.Ref, site string, spec job.Spec) ([]failure.Field, error) {
	var wrong []failure.Field
	if reason := job.CheckJobName(ref.Name); reason != "" {
		wrong = append(wrong, failure.Field{Name: "job", Reason: "the job's name " + reason})
	}
	wrong = append(wrong, a.checkSite(site)...)
	wrong = append(wrong, spec.Validate("/spec", a.engines)...)
	missing, err := a.artifactsMissing(ctx, ref.Tenant, spec)
	return append(wrong, missing...), err
}

// artifactsMissing lists the fields of a spec whose artifact the tenant doesn't have.
func (a *API) artifactsMissing(ctx context.Context, tenant string, spec job.Spec) ([]failure.Field, error) {
	if len(spec.Dependencies) > job.MaxDependencies {
		return nil, nil // Validate told; nobody is kept busy with them
	}
	var wrong []failure.Field
	for i, digest := range spec.Artifacts() {
		missing, err := a.artifactMissing(ctx, tenant, digest)
		if err != nil {
			return nil, err
		}
		if !missing {
			continue
		}
		field := "/spec/artifact"
		if i > 0 {
			field = "/spec/dependencies/" + itoa(i-1)
		}
		wrong = append(wrong, failure.Field{Name: field, Reason: "the tenant has no such artifact", Next: "push the jar: sluice artifact push FILE"})
	}
	return wrong, nil
}

// artifactMissing says whether HDFS proved that there is none; a digest that
// isn't one was told by Validate.
func (a *API) artifactMissing(ctx context.Context, tenant, digest string) (bool, error) {
	if _, bad := job.ParseDigest(digest); bad != nil {
		return false, nil //nolint:nilerr // see above
	}
	_, err := a.artifacts.Stat(ctx, tenant, digest)
	if failure.CodeOf(err) == failure.NotFound {
		return true, nil
	}
	return false, err
}

func (a *API) checkSite(site string) []failure.Field {
	if wrong := job.CheckSite(site); wrong != nil || len(a.config.Sites) == 0 {
		return wrong
	}
	for _, known := range a.config.Sites {
		if known == site {
			return nil
		}
	}
	return []failure.Field{{Name: "/site", Reason: "there is no such site"}}
}

// GetJob reads a job with its newest revision.
func (a *API) GetJob(ctx context.Context, request gen.GetJobRequestObject) (gen.GetJobResponseObject, error) {
	found, err := a.store.Job(ctx, job.Ref{Tenant: request.Tenant, Name: request.Job})
	if err != nil {
		return nil, err
	}
	newest, err := a.store.Revision(ctx, found.UID, 0)
	if err != nil {
		return nil, err
	}
	incident, err := a.store.LastIncident(ctx, found.UID)
	if err != nil {
		return nil, err
	}
	answer := fromJob(found)
	answer.Revision = fromRevision(newest)
	if incident != nil {
		answer.LastIncident = fromIncident(*incident)
	}
	return gen.GetJob200JSONResponse(answer), nil
}

// ListJobs lists the tenant's jobs by name.
func (a *API) ListJobs(ctx context.Context, request gen.ListJobsRequestObject) (gen.ListJobsResponseObject, error) {
	if err := checkAfter(request.Params.After); err != nil {
		return nil, err
	}
	limit := pageSize(request.Params.Limit)
	jobs, err := a.store.Jobs(ctx, request.Tenant, request.Params.After, limit)
	if err != nil {
		return nil, err
	}
	list := gen.JobList{Items: make([]gen.Job, len(jobs))}
	for i, j := range jobs {
		list.Items[i] = fromJob(j)
		list.Next = nextPage(tenantPath(request.Tenant)+"/jobs", "after", j.Name, len(jobs), limit)
	}
	return gen.ListJobs200JSONResponse(list), nil
}

// ListRevisions lists a job's revisions, newest first.
func (a *API) ListRevisions(ctx context.Context, request gen.ListRevisionsRequestObject) (gen.ListRevisionsResponseObject, error) {
	ref := job.Ref{Tenant: request.Tenant, Name: request.Job}
	found, err := a.store.Job(ctx, ref)
	if err != nil {
		return nil, err
	}
	limit := pageSize(request.Params.Limit)
	revisions, err := a.store.Revisions(ctx, found.UID, request.Params.Below, limit)
	if err != nil {
		return nil, err
	}
	list := gen.RevisionList{Items: make([]gen.Revision, len(revisions))}
	for i, r := range revisions {
		list.Items[i] = fromRevision(r)
		list.Next = nextPage(jobPath(ref)+"/revisions", "below", itoa(r.Number), len(revisions), limit)
	}
	return gen.ListRevisions200JSONResponse(list), nil
}

// GetRevision reads one revision.
func (a *API) GetRevision(ctx context.Context, request gen.GetRevisionRequestObject) (gen.GetRevisionResponseObject, error) {
	found, err := a.store.Job(ctx, job.Ref{Tenant: request.Tenant, Name: request.Job})
	if err != nil {
		return nil, err
	}
	revision, err := a.store.Revision(ctx, found.UID, request.Number)
	if err != nil {
		return nil, err
	}
	return gen.GetRevision200JSONResponse(fromRevision(revision)), nil
}

// ListSnapshots lists the ledger.
func (a *API) ListSnapshots(ctx context.Context, request gen.ListSnapshotsRequestObject) (gen.ListSnapshotsResponseObject, error) {
	found, err := a.store.Job(ctx, job.Ref{Tenant: request.Tenant, Name: request.Job})
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Snapshots(ctx, found.UID, true)
	if err != nil {
		return nil, err
	}
	list := gen.SnapshotList{Items: make([]gen.Snapshot, len(rows))}
	for i, row := range rows {
		list.Items[i] = gen.Snapshot{
			Epoch: row.Epoch, CheckpointID: row.CheckpointID, Path: row.Path, Kind: row.Kind, Operation: row.Operation,
			Revision: row.Revision, Engine: row.Engine, State: row.State, CreatedAt: row.CreatedAt,
		}
	}
	return gen.ListSnapshots200JSONResponse(list), nil
}

func toKafka(kafka gen.Kafka) *job.Kafka {
	if kafka.Brokers == nil && kafka.TransactionTimeoutMs == 0 { // left out: the schema takes no kafka without brokers
		return nil
	}
	return &job.Kafka{Brokers: kafka.Brokers, TransactionTimeoutMS: kafka.TransactionTimeoutMs}
}

func fromKafka(kafka *job.Kafka) gen.Kafka {
	if kafka == nil {
		return gen.Kafka{}
	}
	return gen.Kafka{Brokers: kafka.Brokers, TransactionTimeoutMs: kafka.TransactionTimeoutMS}
}

func toSpec(spec gen.Spec) job.Spec {
	return job.Spec{
		Kafka:  toKafka(spec.Kafka),
		Engine: job.Engine{Name: spec.Engine.Name, Version: spec.Engine.Version}, Artifact: spec.Artifact,
		EntryClass: spec.EntryClass, Dependencies: spec.Dependencies,
		Arguments: spec.Arguments, Options: spec.Options,
		Secrets: toSecrets(spec.Secrets),
	}
}

func toSecrets(from []gen.SecretRef) []job.Secret {
	var secrets []job.Secret
	for _, s := range from {
		secrets = append(secrets, job.Secret{Name: s.Name, MountPath: s.MountPath, Env: s.Env, Key: s.Key})
	}
	return secrets
}

func fromSecrets(from []job.Secret) []gen.SecretRef {
	var secrets []gen.SecretRef
	for _, s := range from {
		secrets = append(secrets, gen.SecretRef{Name: s.Name, MountPath: s.MountPath, Env: s.Env, Key: s.Key})
	}
	return secrets
}

func fromRevision(r store.Revision) gen.Revision {
	answer := gen.Revision{
		Number: r.Number, Digest: r.Digest, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
		Spec: gen.Spec{
			Kafka:  fromKafka(r.Spec.Kafka),
			Engine: gen.Engine{Name: r.Spec.Engine.Name, Version: r.Spec.Engine.Version}, Artifact: r.Spec.Artifact,
			EntryClass: r.Spec.EntryClass, Dependencies: r.Spec.Dependencies,
			Arguments: r.Spec.Arguments, Options: r.Spec.Options,
			Secrets: fromSecrets(r.Spec.Secrets),
		},
	}
	if r.CommittedAt != nil {
		answer.CommittedAt = *r.CommittedAt
	}
	return answer
}

func fromIncident(i store.Incident) gen.Incident {
	at, _ := time.Parse(time.RFC3339, i.FinishedAt) // the observer wrote it so
	return gen.Incident{
		Kind: i.Kind, HeldBy: i.HeldBy,
		ID: i.ID, Generation: i.Generation, Epoch: i.Epoch, ExitCode: i.ExitCode, Reason: i.Reason, FinishedAt: at, Operation: i.Operation, RecordedAt: i.RecordedAt,
		What: job.Incident{Generation: i.Generation, Epoch: i.Epoch, ExitCode: i.ExitCode, Reason: i.Reason, FinishedAt: i.FinishedAt, Kind: i.Kind, HeldBy: i.HeldBy}.String(),
	}
}

func fromJob(j store.Job) gen.Job {
	return gen.Job{
		Tenant: j.Tenant, Name: j.Name, UID: j.UID, Site: j.Site, CreatedAt: j.CreatedAt, CreatedBy: j.CreatedBy,
		NewestRevision: j.Newest, Links: jobLinks(j.Ref()),
		Current: gen.JobState{
			State: j.State.State, Revision: j.State.Revision, Digest: j.State.Digest, Profile: j.State.Profile,
			Epoch: j.State.Epoch, Generation: j.State.Generation, Operation: j.State.Operation, UpdatedAt: j.State.UpdatedAt, Withdrawn: j.State.Withdrawn,
		},
	}
}
