package api

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"sluice/api/internal/gen"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/store"
)

// goodKey is what a request key may be: printable ASCII.
var goodKey = regexp.MustCompile(`^[\x21-\x7e]{1,200}$`)

// StartOperation writes the request's row under its key and starts the
// operation's workflow. A repeat gives the same answer: a claimed row is only
// linked to, an unclaimed one (its start may have been lost) is started again
// under the same operation id.
func (a *API) StartOperation(ctx context.Context, request gen.StartOperationRequestObject) (gen.StartOperationResponseObject, error) {
	ref := job.Ref{Tenant: request.Tenant, Name: request.Job}
	wish := toRequest(*request.Body)
	key, ours, err := requestKey(request.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	if err := adminsOnly(wish, caller(ctx).Role); err != nil {
		return nil, err
	}
	found, err := a.store.Job(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := a.checkRequest(ctx, found, wish); err != nil {
		return nil, err
	}
	row, _, err := a.store.InsertOperation(ctx, store.NewOperation{JobUID: found.UID, Job: ref, Request: wish, Key: key, By: caller(ctx).Subject})
	if err != nil {
		return nil, linked(err, ref.Tenant)
	}
	runID := row.Run()
	if runID == "" {
		if runID, err = a.startRun(ctx, row, found.Site); err != nil {
			return nil, a.notStarted(ctx, row, err, key, ours)
		}
	}
	return accepted(a, row, key, runID), nil
}

// adminsOnly keeps the words by which state is left behind or another's is taken
// to admins.
func adminsOnly(wish job.Request, is role) error {
	for _, word := range []struct {
		name, why string
		said      bool
	}{
		{"stateless", "the job's state would be left behind", wish.Stateless},
		{"allowStateLoss", "state of the job would be left behind", wish.AllowStateLoss},
		{"fromSnapshot", "the job would go on from other state than its newest", wish.FromSnapshot != ""},
	} {
		if word.said && is < admin {
			return failure.New(failure.Forbidden, "%s needs the role admin: %s", word.name, word.why).WithNext("leave %s out, or ask an admin", word.name)
		}
	}
	return nil
}

// requestKey is the client's key or one that we make.
func requestKey(given string) (key string, ours bool, err error) {
	if given == "" {
		return "sluice-" + ulid.Make().String(), true, nil
	}
	if !goodKey.MatchString(given) {
		return "", false, badKey()
	}
	return given, false, nil
}

// checkRequest looks at the fields and at what they name, so that a slip is told
// at once and not by a workflow.
func (a *API) checkRequest(ctx context.Context, found store.Job, wish job.Request) error {
	wrong := wish.Validate()
	if wish.Revision > 0 {
		_, err := a.store.Revision(ctx, found.UID, wish.Revision)
		if wrong, err = absent(wrong, err, "/revision", "the job's newest is "+itoa(found.Newest)); err != nil {
			return err
		}
	}
	if wish.Profile != "" && job.CheckName(wish.Profile) == "" {
		_, err := a.store.Profile(ctx, found.Tenant, wish.Profile)
		if wrong, err = absent(wrong, err, "/profile", "list them: sluice get profiles"); err != nil {
			return err
		}
	}
	if wish.Supersede != "" && !slices.ContainsFunc(wrong, func(f failure.Field) bool { return f.Name == "/supersede" }) {
		reason, next, err := a.notSuperseded(ctx, found, wish.Supersede)
		if err != nil {
			return err
		}
		if reason != "" {
			wrong = append(wrong, failure.Field{Name: "/supersede", Reason: reason, Next: next})
		}
	}
	if len(wrong) == 0 {
		return a.checkWidth(ctx, found, wish)
	}
	return failure.New(failure.Invalid, "the operation is not valid: %d fields", len(wrong)).
		WithFields(wrong...).WithNext("correct the fields listed; nothing was started")
}

// checkWidth compares the profile asked for with the most that the revision's
// options allow; Flink would refuse it only when it makes the job graph. Which
// revision is meant must be plain: named, or the newest and not withdrawn.
func (a *API) checkWidth(ctx context.Context, found store.Job, wish job.Request) error {
	plain := wish.Revision > 0 || found.State.Withdrawn == 0 && (wish.Kind == job.Start || wish.Kind == job.Upgrade)
	if wish.Profile == "" || !wish.Kind.Submits() || !plain {
		return nil
	}
	revision, err := a.store.Revision(ctx, found.UID, wish.Revision)
	if err != nil {
		return err
	}
	profile, err := a.store.Profile(ctx, found.Tenant, wish.Profile)
	if err != nil {
		return err
	}
	most := job.MaxParallelism(revision.Spec.Options)
	if most == 0 || profile.Body.Parallelism <= most {
		return nil
	}
	return failure.New(failure.Invalid, "the operation is not valid: 1 field").WithFields(failure.Field{
		Name:   "/profile",
		Reason: fmt.Sprintf("%s has parallelism %d; revision %d allows at most %d (%s)", wish.Profile, profile.Body.Parallelism, revision.Number, most, job.MaxParallelismOption),
		Next:   "use a smaller profile; a maximum can't be raised without losing the job's state",
	}).WithNext("correct the fields listed; nothing was started")
}

// notSuperseded says why no start can take the place of an operation; "": one can
// ask. Whether the operation waits just now its own run says.
func (a *API) notSuperseded(ctx context.Context, found store.Job, id string) (reason, next string, err error) {
	const list = "name the operation in which the job waits; list them: sluice get operations"
	waiting, err := a.store.Operation(ctx, found.Tenant, id)
	switch {
	case failure.CodeOf(err) == failure.NotFound:
		return failure.Of(err).Message, list, nil
	case err != nil:
		return "", "", err
	case waiting.JobUID != found.UID:
		return "is another job's operation", list, nil
	case waiting.Run() == "" && !waiting.Phase.Final():
		return "has not begun: it holds nothing whose place could be taken", "leave supersede out, or try again in a moment", nil
	}
	return "", "", nil
}

func absent(wrong []failure.Field, err error, field, next string) ([]failure.Field, error) {
	if failure.CodeOf(err) != failure.NotFound {
		return wrong, err
	}
	return append(wrong, failure.Field{Name: field, Reason: failure.Of(err).Message, Next: next}), nil
}

// notStarted completes the error of a start. Busy leaves the row unclaimed, so that
// a repeat may start it later; a row whose key nobody knows goes away, and so does
// one that was refused another operation's place: a repeat asks anew.
func (a *API) notStarted(ctx context.Context, row store.Operation, err error, key string, ours bool) error {
	f := failure.Of(err)
	refused := row.Request.Supersede != "" && !f.Retryable() // for good: the update is known by the row's id
	if f.Code == failure.Busy || refused {
		if ours || refused && f.Code != failure.Busy {
			if err := a.store.Discard(context.WithoutCancel(ctx), row.ID); err != nil {
				a.log.WarnContext(ctx, "an unclaimed row stays", "operation", row.ID, "error", err)
			}
		}
		return f
	}
	if f.Code == failure.Unavailable {
		f = f.With("idempotencyKey", key).With("operation", row.ID).With("link", operationPath(row.Tenant, row.ID)).
			WithNext("send the same request with Idempotency-Key %s: that is safe, whatever happened", key)
	}
	return f
}

// linked adds the address of the operation that an error names.
func linked(err error, tenant string) error {
	f := failure.Of(err)
	if id := f.Details["operation"]; id != "" {
		f = f.With("link", operationPath(tenant, id))
	}
	return f
}

func accepted(a *API, row store.Operation, key, runID string) gen.StartOperation202JSONResponse {
	return gen.StartOperation202JSONResponse{
		Headers: gen.StartOperation202ResponseHeaders{Location: operationPath(row.Tenant, row.ID)},
		Body: gen.Accepted{
			Operation: row.ID, Job: gen.JobRef{Tenant: row.Tenant, Name: row.Job}, Kind: string(row.Kind),
			IdempotencyKey: key, CreatedAt: row.CreatedAt, Links: a.operationLinks(row.Ref(), row.ID, runID),
		},
	}
}

func toRequest(body gen.OperationRequest) job.Request {
	return job.Request{
		Kind: job.Kind(body.Kind), Revision: body.Revision, Profile: body.Profile,
		Strategy: job.Strategy(body.Strategy), Stateless: body.Stateless, FromSnapshot: body.FromSnapshot, AllowCold: body.AllowCold, AllowUnchecked: body.AllowUnchecked, AllowStateLoss: body.AllowStateLoss, Reason: strings.TrimSpace(body.Reason),
		SoakSeconds: body.SoakSeconds, WithoutSavepoint: body.WithoutSavepoint, Replay: job.Replay(body.Replay), PlanDigest: body.PlanDigest,
		Supersede: body.Supersede, DefaultDecision: body.DefaultDecision, DefaultAfterMinutes: body.DefaultAfterMinutes,
	}
}

func fromRequest(r job.Request) gen.OperationRequest {
	return gen.OperationRequest{
		Kind: string(r.Kind), Revision: r.Revision, Profile: r.Profile, Strategy: string(r.Strategy), Stateless: r.Stateless, FromSnapshot: r.FromSnapshot, AllowCold: r.AllowCold, AllowUnchecked: r.AllowUnchecked, AllowStateLoss: r.AllowStateLoss, Reason: r.Reason,
		SoakSeconds: r.SoakSeconds, WithoutSavepoint: r.WithoutSavepoint, Replay: string(r.Replay), PlanDigest: r.PlanDigest,
		Supersede: r.Supersede, DefaultDecision: r.DefaultDecision, DefaultAfterMinutes: r.DefaultAfterMinutes,
	}
}

// plainText keeps a person's text from ending a markdown code span or line.
func plainText(text string) string {
	return strings.NewReplacer("`", "'", "\n", " ", "\r", " ", "\t", " ").Replace(text)
}
