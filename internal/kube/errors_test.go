package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sluice/internal/failure"
)

func TestTranslate(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	owned := apierrors.NewApplyConflict([]meta.StatusCause{{
		Type: meta.CauseTypeFieldManagerConflict, Field: ".spec.replicas", Message: `conflict with "kubectl-edit" using apps/v1`,
	}}, "Apply failed with 1 conflict")
	for name, c := range map[string]struct {
		err  error
		code failure.Code
		says string
	}{
		"none":                 {nil, "", ""},
		"not found":            {apierrors.NewNotFound(deployments, "x"), failure.NotFound, "it does not exist"},
		"no namespace":         {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), failure.NotFound, "namespace shop does not exist"},
		"forbidden":            {apierrors.NewForbidden(deployments, "x", errors.New("no")), failure.Forbidden, "may not"},
		"unauthorized":         {apierrors.NewUnauthorized("who?"), failure.Forbidden, "may not"},
		"quota":                {apierrors.NewForbidden(deployments, "x", errors.New("exceeded quota: tenant")), failure.Unavailable, "quota"},
		"another's field":      {owned, failure.Conflict, `.spec.replicas: conflict with "kubectl-edit"`},
		"another of its name":  {apierrors.NewConflict(deployments, "x", errors.New("Precondition failed: UID in precondition: a, UID in object meta: b")), failure.Conflict, "changed meanwhile"},
		"exists":               {apierrors.NewAlreadyExists(deployments, "x"), failure.Conflict, "exists already"},
		"invalid":              {apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "x", nil), failure.Internal, "refused"},
		"too many requests":    {apierrors.NewTooManyRequests("later", 1), failure.Unavailable, "did not answer"},
		"server's time-out":    {apierrors.NewServerTimeout(deployments, "patch", 1), failure.Unavailable, "did not answer"},
		"server's bug":         {apierrors.NewInternalError(errors.New("etcd")), failure.Unavailable, "did not answer"},
		"unavailable":          {apierrors.NewServiceUnavailable("starting"), failure.Unavailable, "did not answer"},
		"deadline":             {context.DeadlineExceeded, failure.Unavailable, "did not answer"},
		"canceled":             {context.Canceled, failure.Unavailable, "canceled"},
		"connection refused":   {errors.New("dial tcp: connection refused"), failure.Unavailable, "did not answer"},
		"a failure stays":      {failure.New(failure.Refused, "no"), failure.Refused, "no"},
		"time-out of the call": {apierrors.NewTimeoutError("slow", int(time.Second)), failure.Unavailable, "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Translate(c.err, "it")
			require.Equal(t, c.code, failure.CodeOf(err))
			if c.code != "" {
				require.Contains(t, failure.Of(err).Message, c.says)
			}
		})
	}
}

// A server-side apply has no resourceVersion: a 409 is either another owner's
// field or a race inside the API server.
func TestTranslateWrite(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	owned := apierrors.NewApplyConflict([]meta.StatusCause{{Type: meta.CauseTypeFieldManagerConflict, Field: ".spec.replicas"}}, "1 conflict")
	for name, c := range map[string]struct {
		err  error
		code failure.Code
	}{
		"none":               {nil, ""},
		"another's field":    {owned, failure.Conflict},
		"lost race":          {apierrors.NewConflict(deployments, "x", errors.New("the object has been modified")), failure.Unavailable},
		"lost race of quota": {apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", errors.New("the object has been modified")), failure.Unavailable},
		"exists":             {apierrors.NewAlreadyExists(deployments, "x"), failure.Conflict},
		"invalid":            {apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "x", nil), failure.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.code, failure.CodeOf(translateWrite(c.err, "it")))
		})
	}
}
