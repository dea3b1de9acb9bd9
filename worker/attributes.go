package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"sluice/internal/failure"
	"sluice/workflows/upgrade"
)

// registerSearchAttributes makes those of the job flows known in the namespace:
// without them no operation can start, and a Temporal of the user's own doesn't
// have them. Who may not look or add (Temporal Cloud) gets the names in the
// error; who has them all needs no right to add.
func (w *Worker) registerSearchAttributes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	namespace := w.config.Temporal.Namespace
	known, err := w.temporal.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if denied := new(serviceerror.PermissionDenied); errors.As(err, &denied) {
		w.log.WarnContext(ctx, "can't look at the namespace's search attributes; operations need them", "namespace", namespace, "names", commands(upgrade.Attributes()))
		return nil
	}
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "Temporal did not list the search attributes of namespace %s", namespace)
	}
	missing := slices.DeleteFunc(upgrade.Attributes(), func(key temporal.SearchAttributeKey) bool {
		kind, ok := known.GetCustomAttributes()[key.GetName()]
		return ok && kind == key.GetValueType()
	})
	if len(missing) == 0 {
		return nil
	}
	add := map[string]enums.IndexedValueType{}
	for _, key := range missing {
		add[key.GetName()] = key.GetValueType()
	}
	_, err = w.temporal.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: add})
	if exists := new(serviceerror.AlreadyExists); err != nil && !errors.As(err, &exists) { // the other replica was first
		return failure.Wrap(failure.Forbidden, err, "namespace %s lacks search attributes that operations need: temporal operator search-attribute create --namespace %s %s",
			namespace, namespace, commands(missing))
	}
	w.log.InfoContext(ctx, "search attributes registered", "namespace", namespace, "names", commands(missing))
	return nil
}

// commands are the arguments of temporal operator search-attribute create.
func commands(keys []temporal.SearchAttributeKey) string {
	parts := make([]string, 0, len(keys))
	for _, key := range keys {
		parts = append(parts, fmt.Sprintf("--name %s --type %s", key.GetName(), key.GetValueType()))
	}
	return strings.Join(parts, " ")
}
