package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/failure"
	"sluice/internal/kube/answer"
)

// Translate turns an error of the API server's client into a failure; what is
// the object, for people ("Deployment shop/orders-g2-client"). NotFound is
// returned only when the API server itself said so; everything that leaves the
// outcome open is Unavailable, since every call here may be repeated.
func Translate(err error, what string) error {
	if err == nil {
		return nil
	}
	var known *failure.Error
	if errors.As(err, &known) {
		return err
	}
	switch {
	case answer.Absent(err):
		return missing(err, what)
	case apierrors.IsNotFound(err):
		return failure.Wrap(failure.Unavailable, err, "something other than Kubernetes answered for %s", what)
	case apierrors.IsForbidden(err) && exceedsQuota(err):
		return failure.Wrap(failure.Unavailable, err, "the namespace's quota has no room for %s", what).
			WithNext("raise the quota or stop something; it is tried again")
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return failure.Wrap(failure.Forbidden, err, "the platform's service account may not do this to %s", what).
			WithNext("apply deploy/tenant to that namespace: it holds the platform's rights there")
	case apierrors.IsConflict(err):
		return conflict(err, what)
	case apierrors.IsAlreadyExists(err):
		return failure.Wrap(failure.Conflict, err, "%s exists already", what)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err), apierrors.IsRequestEntityTooLargeError(err):
		return failure.Wrap(failure.Internal, err, "Kubernetes refused %s", what)
	case errors.Is(err, context.Canceled):
		return failure.Wrap(failure.Unavailable, err, "the call for %s was canceled", what)
	}
	// 429, 5xx, time-outs, connections refused or lost.
	return failure.Wrap(failure.Unavailable, err, "Kubernetes did not answer for %s", what)
}

// translateWrite is Translate for an apply or a create. These carry no
// resourceVersion, so a 409 that names no owner of a field is a race that the
// API server lost with itself (another request, its own quota:
// kubernetes/kubernetes#67761), and the call may be repeated.
func translateWrite(err error, what string) error {
	if apierrors.IsConflict(err) && !apierrors.HasStatusCause(err, meta.CauseTypeFieldManagerConflict) {
		return failure.Wrap(failure.Unavailable, err, "something else was written together with %s", what)
	}
	return Translate(err, what)
}

func missing(err error, what string) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		if details := status.Status().Details; details != nil && details.Kind == "namespaces" {
			return failure.Wrap(failure.NotFound, err, "namespace %s does not exist", details.Name).
				WithNext("apply deploy/tenant for this tenant")
		}
	}
	return failure.Wrap(failure.NotFound, err, "%s does not exist", what)
}

func exceedsQuota(err error) bool { return strings.Contains(err.Error(), "exceeded quota") }

// conflict tells a field that somebody else owns from a lost race.
func conflict(err error, what string) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		var fields []string
		for _, cause := range status.Status().Details.Causes {
			if cause.Type == meta.CauseTypeFieldManagerConflict {
				fields = append(fields, fmt.Sprintf("%s: %s", cause.Field, cause.Message))
			}
		}
		if len(fields) > 0 {
			return failure.Wrap(failure.Conflict, err, "somebody else changed %s (%s)", what, strings.Join(fields, "; ")).
				WithNext("undo that change, or give the fields up with: kubectl apply --server-side; the platform doesn't overwrite it")
		}
	}
	return failure.Wrap(failure.Conflict, err, "%s changed meanwhile, or is another one of the same name", what)
}
