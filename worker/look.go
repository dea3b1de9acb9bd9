package worker

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

// visibility is the part of Temporal's client that lists flows.
type visibility interface {
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// look declares what is asked for only when somebody scrapes: who observes, and
// how many operations wait for a person. The second is the observer's to say, so
// that a site's number is there once; it is one list call a scrape.
func (m *metrics) look(leads func() bool, temporal visibility, c config.Worker) error {
	meter := m.telemetry.Meter("sluice/worker")
	_, err := meter.Int64ObservableGauge("sluice.observer.leading",
		metric.WithDescription("1 in the process that is its site's observer, else 0"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(number(leads()), metric.WithAttributes(attribute.String("site", c.Site)))
			return nil
		}))
	if err != nil {
		return failure.Wrap(failure.Internal, err, "metrics")
	}
	_, err = meter.Int64ObservableGauge("sluice.operations.waiting",
		metric.WithDescription("Open operations that wait for a person's decision, by tenant; told by the site's observer"),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			if !leads() {
				return nil
			}
			waiting, err := waits(ctx, temporal, c)
			if err != nil {
				return err
			}
			for tenant, n := range waiting {
				o.Observe(n, metric.WithAttributes(attribute.String("tenant", tenant), attribute.String("site", c.Site)))
			}
			return nil
		}))
	if err != nil {
		return failure.Wrap(failure.Internal, err, "metrics")
	}
	return nil
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

const (
	scrapeTime = 3 * time.Second
	waitsMost  = 1000 // one page: that many at once are an alarm anyway
)

// waits counts the site's waiting operations by tenant; 0 where there are none.
func waits(ctx context.Context, temporal visibility, c config.Worker) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTime)
	defer cancel()
	found, err := temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: c.Temporal.Namespace, PageSize: waitsMost,
		Query: fmt.Sprintf("ExecutionStatus='Running' AND %s='%s' AND %s='%s'", upgrade.AttributePhase.GetName(), job.Waiting, upgrade.AttributeSite.GetName(), c.Site),
	})
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "Temporal did not list the waiting operations")
	}
	waiting := map[string]int64{}
	for _, tenant := range c.Tenants {
		waiting[tenant.Name] = 0
	}
	for _, run := range found.GetExecutions() {
		var tenant string
		attributes := run.GetSearchAttributes().GetIndexedFields()
		if err := converter.GetDefaultDataConverter().FromPayload(attributes[upgrade.AttributeTenant.GetName()], &tenant); err == nil {
			waiting[tenant]++
		}
	}
	return waiting, nil
}
