package api

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"sluice/internal/agentapi"
	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/look"
	"sluice/internal/pki"
	"sluice/internal/store"
)

// lookOperation names the look in logs and metrics. It has no operation in the
// OpenAPI document, which knows no parameter of several segments; the document's
// description tells of it.
const lookOperation = "lookAtFlink"

// lookRoute takes every method, so that the wrong ones are refused by the same
// door, behind the question who calls.
func (a *API) lookRoute() {
	a.web.Any("/v1/tenants/:tenant/jobs/:job/flink/*", a.getFlink)
}

// getFlink reads something of a running job's Flink, through the job's agent.
func (a *API) getFlink(c echo.Context) error {
	c.Set(operationKey, lookOperation)
	if _, err := a.admit(c, viewer); err != nil {
		return err
	}
	a.limit(c)
	if err := checkNames(c); err != nil {
		return err
	}
	ref := job.Ref{Tenant: c.Param("tenant"), Name: c.Param("job")}
	read, err := look.Parse(c.Request(), jobPath(ref)+"/flink")
	if err != nil {
		look.Allow(c.Response().Header(), err)
		return err
	}
	way, err := a.wayToFlink(c, ref)
	if err != nil {
		return err
	}
	readFreely(c)
	return unseen(way.Forward(c.Response(), c.Request(), read))
}

// wayToFlink is by the agent of the job's active generation, as the record store
// has it. The agent serves that job's uid alone, and shows by its certificate that
// it is that generation's.
func (a *API) wayToFlink(c echo.Context, ref job.Ref) (look.Way, error) {
	if a.agents == nil {
		return look.Way{}, failure.New(failure.Unavailable, "this server has no key to the jobs' agents").
			WithNext("whoever runs it can give it one: docs/operations.md, Looking at Flink")
	}
	found, err := a.store.Job(c.Request().Context(), ref)
	if err != nil {
		return look.Way{}, err
	}
	if found.State.State != store.Running {
		return look.Way{}, failure.New(failure.NotFound, "job %s does not run: there is no Flink to look at", ref).
			WithNext("start it: sluice op start %s", ref.Name)
	}
	return a.wayToAgent(found)
}

func (a *API) wayToAgent(found store.Job) (look.Way, error) {
	identity := job.Identity{Ref: found.Ref(), UID: found.UID, Namespace: a.namespaces[found.Tenant]}
	endpoint := agentapi.EndpointOf(identity, found.State.Generation)
	base, err := url.Parse(endpoint.URL + agentapi.LookPath)
	if err != nil {
		return look.Way{}, failure.Wrap(failure.Internal, err, "the agent's address")
	}
	return look.Way{
		To: "the job's agent", Base: base, Transport: a.agents,
		Header: http.Header{agentapi.JobHeader: {endpoint.JobUID}},
	}, nil
}

// unseen tells what to do where an agent doesn't answer: one of an earlier release
// lets only workers in.
func unseen(err error) error {
	if failure.CodeOf(err) != failure.Unavailable {
		return err
	}
	return failure.Of(err).WithNext("try again; the agent of a job that was started by an earlier release lets nobody look until the job's next upgrade or restart")
}

// agentDoors is the transport to the agents, nil without keys.
func agentDoors(keys config.Keys) (http.RoundTripper, error) {
	if keys.CertificateFile == "" {
		return nil, nil //nolint:nilnil // none is an answer: a server may have no way to agents
	}
	doors, err := pki.Client(keys.CertificateFile, keys.KeyFile, keys.TrustFile)
	if err != nil {
		return nil, err
	}
	return agentapi.NewTransport(doors), nil
}
