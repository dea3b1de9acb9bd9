package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/store"
	"sluice/workflows/upgrade"
)

const (
	// planTime is how long a plan may take: its looks take milliseconds each, and
	// are repeated while a server is away.
	planTime = 30 * time.Second
	// planSlack is how much longer its run may live, so that we give up first and
	// can say what it waits for.
	planSlack = 10 * time.Second
	// maxPlans bounds the plans that are made at once: each is a workflow.
	maxPlans = 32
)

// MakePlan says what an operation would do. The plan is made by a workflow of its
// own, which holds no lock and has no effects.
func (a *API) MakePlan(ctx context.Context, request gen.MakePlanRequestObject) (gen.MakePlanResponseObject, error) {
	ref := job.Ref{Tenant: request.Tenant, Name: request.Job}
	found, err := a.store.Job(ctx, ref)
	if err != nil {
		return nil, err
	}
	in := upgrade.PlanInput{Plan: ulid.Make().String(), Job: ref, UID: found.UID, Request: planned(*request.Body), RequestedBy: caller(ctx).Subject}
	if request.Body.Spec != nil {
		spec := toSpec(*request.Body.Spec)
		in.Spec = &spec
	}
	if err := a.checkPlan(ctx, found, in); err != nil {
		return nil, err
	}
	select {
	case a.plans <- struct{}{}:
		defer func() { <-a.plans }()
	default:
		return nil, failure.New(failure.Unavailable, "%d plans are being made already", maxPlans).WithNext("try again in a moment")
	}
	plan, err := a.plan(ctx, in, found.Site)
	return gen.MakePlan200JSONResponse(fromPlan(plan)), err
}

// planned is the operation's part of the body: a field that operations get one
// day is taken along.
func planned(body gen.PlanRequest) job.Request {
	body.Spec = nil
	var request gen.OperationRequest
	again(body, &request)
	return toRequest(request)
}

func fromPlan(plan upgrade.Plan) (answer gen.Plan) {
	again(plan, &answer)
	return answer
}

// again makes one of two types of the same JSON form of the other; a test keeps
// them so.
func again(from, to any) {
	data, err := json.Marshal(from)
	if err == nil {
		_ = json.Unmarshal(data, to)
	}
}

// checkPlan refuses what an operation's start would refuse, and a spec that could
// not be applied.
func (a *API) checkPlan(ctx context.Context, found store.Job, in upgrade.PlanInput) error {
	var wrong []failure.Field
	switch err := a.checkRequest(ctx, found, in.Request); failure.CodeOf(err) {
	case "":
	case failure.Invalid:
		wrong = failure.Of(err).Fields
	default:
		return err
	}
	if in.Spec != nil {
		wrong = append(wrong, in.Spec.Validate("/spec", a.engines)...)
		if in.Request.Kind != job.Start && in.Request.Kind != job.Upgrade && in.Request.Kind != job.Rescale {
			wrong = append(wrong, failure.Field{Name: "/spec", Reason: "means nothing to a " + string(in.Request.Kind), Next: "leave it out"})
		}
		if in.Request.Revision != 0 {
			wrong = append(wrong, failure.Field{Name: "/revision", Reason: "a spec that is not applied yet has no number", Next: "leave out revision or spec"})
		}
		missing, err := a.artifactsMissing(ctx, in.Job.Tenant, *in.Spec)
		if err != nil {
			return err
		}
		wrong = append(wrong, missing...)
	}
	if len(wrong) == 0 {
		return nil
	}
	return failure.New(failure.Invalid, "the plan's request is not valid: %d fields", len(wrong)).
		WithFields(wrong...).WithNext("correct the fields listed")
}

// plan runs the workflow and waits for it; a run that nobody waits for any more
// ends by itself.
func (a *API) plan(ctx context.Context, in upgrade.PlanInput, site string) (plan upgrade.Plan, err error) {
	waiting, cancel := context.WithTimeout(ctx, a.planTime)
	defer cancel()
	run, err := a.temporal.ExecuteWorkflow(waiting, planOptions(in, site, a.planTime+planSlack), upgrade.PlanName, in)
	if err != nil {
		return plan, unreachable(err, "no plan was made").WithNext("try again; a plan changes nothing")
	}
	err = run.Get(waiting, &plan)
	switch {
	case err == nil:
		return plan, nil
	case ctx.Err() != nil:
		return plan, failure.New(failure.Canceled, "nobody waits for the plan any more")
	case waiting.Err() != nil, timedOut(err):
		return plan, a.late(ctx, run)
	}
	var ended *temporal.WorkflowExecutionError
	if !errors.As(err, &ended) {
		return plan, unreachable(err, "the plan can't be read").WithNext("try again; a plan changes nothing")
	}
	return plan, ontemporal.Failure(err)
}

func planOptions(in upgrade.PlanInput, site string, life time.Duration) client.StartWorkflowOptions {
	attributes := []temporal.SearchAttributeUpdate{
		upgrade.AttributeTenant.ValueSet(in.Job.Tenant), upgrade.AttributeJob.ValueSet(in.Job.Name), upgrade.AttributeSite.ValueSet(site),
		upgrade.AttributeKind.ValueSet(upgrade.PlanName),
	}
	details := fmt.Sprintf("What %s of job `%s` at site `%s` would do. It changes nothing and holds no lock.\n\n- asked for by `%s`\n",
		in.Request.Kind, in.Job, site, plainText(in.RequestedBy))
	if in.Spec != nil {
		details += "- of a revision that is not applied yet\n"
	}
	return client.StartWorkflowOptions{
		ID: in.Job.PlanWorkflowID(in.Plan), TaskQueue: job.FlowQueue, WorkflowExecutionTimeout: life, WorkflowTaskTimeout: workflowTaskTimeout,
		Memo:                  map[string]any{"kind": in.Request.Kind, "requestedBy": in.RequestedBy},
		TypedSearchAttributes: temporal.NewSearchAttributes(attributes...),
		StaticSummary:         fmt.Sprintf("plan of %s **%s** at %s", in.Request.Kind, in.Job, site),
		StaticDetails:         details,
	}
}

// timedOut: gRPC sees a deadline pass by its own timer, which may be ahead of the
// context's.
func timedOut(err error) bool {
	var exceeded *serviceerror.DeadlineExceeded
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exceeded)
}

// late says what a plan that takes too long waits for.
func (a *API) late(ctx context.Context, run client.WorkflowRun) error {
	f := failure.New(failure.Unavailable, "no plan was made within %s", a.planTime).WithNext("try again; a plan changes nothing")
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	described, err := a.temporal.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
	if err != nil {
		return f
	}
	waits := make([]string, 0, len(described.GetPendingActivities()))
	for _, pending := range described.GetPendingActivities() {
		waits = append(waits, pendingText(pending))
	}
	slices.Sort(waits)
	if len(waits) == 0 {
		f.Message += ": no worker takes it"
	} else {
		f.Message += ": it waits for " + strings.Join(waits, "; ")
	}
	return f
}

// pendingText names an activity that is repeated, with its last failure as the
// activity worded it: without causes.
func pendingText(pending *workflow.PendingActivityInfo) string {
	text := pending.GetActivityType().GetName()
	var last failure.Error
	details := pending.GetLastFailure().GetApplicationFailureInfo().GetDetails()
	if details == nil || converter.GetDefaultDataConverter().FromPayloads(details, &last) != nil || last.Message == "" {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, last.Message)
}
