// Package answer tells the API server's own words from those of something on
// the way to it. It is apart from package kube so that the agent, which reads
// its Lease, doesn't carry all of client-go. It decides nothing.
package answer

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Absent says whether the API server itself said that the object isn't there.
// client-go makes the same reason NotFound, with details, of any 404: a proxy's,
// a listener's that isn't ready yet. Only a cause tells that the body was no
// Status, so apierrors.IsNotFound alone proves nothing.
func Absent(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, meta.CauseTypeUnexpectedServerResponse)
}
