package api

import (
	"net/url"
	"strings"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
)

// Addresses within the API are relative: a proxy may serve it under any host.
func tenantPath(tenant string) string { return "/v1/tenants/" + url.PathEscape(tenant) }

func jobPath(ref job.Ref) string {
	return tenantPath(ref.Tenant) + "/jobs/" + url.PathEscape(ref.Name)
}

func operationPath(tenant, id string) string {
	return tenantPath(tenant) + "/operations/" + url.PathEscape(id)
}

func artifactPath(tenant, digest string) string { return tenantPath(tenant) + "/artifacts/" + digest }

func jobLinks(ref job.Ref) gen.JobLinks {
	self := jobPath(ref)
	return gen.JobLinks{Self: self, Operations: self + "/operations", Revisions: self + "/revisions", Snapshots: self + "/snapshots"}
}

func (a *API) operationLinks(ref job.Ref, id, runID string) gen.OperationLinks {
	return gen.OperationLinks{Self: operationPath(ref.Tenant, id), Job: jobPath(ref), TemporalUI: a.uiLink(ref, runID)}
}

// uiLink is the run's page in Temporal's UI; "" without a UI or a run.
func (a *API) uiLink(ref job.Ref, runID string) string {
	if a.config.UIURL == "" || runID == "" {
		return ""
	}
	return strings.TrimSuffix(a.config.UIURL, "/") + "/namespaces/" + url.PathEscape(a.config.Temporal.Namespace) +
		"/workflows/" + url.PathEscape(ref.WorkflowID()) + "/" + url.PathEscape(runID)
}

// nextPage is the address of the page after this one; "" on the last.
func nextPage(path, parameter, last string, got, limit int) string {
	if got < limit {
		return ""
	}
	return path + "?" + url.Values{parameter: {last}, "limit": {itoa(limit)}}.Encode()
}

// checkBefore and checkAfter refuse what is no place in a list: the record store
// would compare any text, and give some page.
func checkBefore(cursor string) error {
	if cursor == "" || checkOperationID(cursor) == "" {
		return nil
	}
	return badCursor("before", "is not the id of an operation")
}

func checkAfter(cursor string) error {
	if cursor == "" || job.CheckName(cursor) == "" {
		return nil
	}
	return badCursor("after", "is not the name of a job")
}

func badCursor(parameter, reason string) error {
	return failure.New(failure.Invalid, "there is no such page").
		WithFields(failure.Field{Name: parameter, Reason: reason, Next: "follow the address in next of the page before"})
}
