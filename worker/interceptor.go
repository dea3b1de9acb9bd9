package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/workflows/upgrade"
)

// edge is what every activity passes: it heartbeats while the activity runs,
// so that a killed worker is noticed within flow.HeartbeatTimeout, and turns
// the failure into Temporal's error as the outermost one.
type edge struct {
	interceptor.WorkerInterceptorBase
	log     *slog.Logger
	metrics *metrics
}

// InterceptWorkflow counts operations.
func (e *edge) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &counted{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, metrics: e.metrics}
}

type counted struct {
	interceptor.WorkflowInboundInterceptorBase
	metrics *metrics
}

// ExecuteWorkflow counts an operation when its run ends; a replay, for a query
// or on another worker, has seen that before.
func (c *counted) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	result, err := c.Next.ExecuteWorkflow(ctx, in)
	progress, ok := result.(upgrade.Progress)
	if ok && progress.Phase.Final() && !workflow.IsReplaying(ctx) {
		c.metrics.operation(progress, workflow.Now(ctx).Sub(workflow.GetInfo(ctx).WorkflowStartTime))
	}
	return result, err
}

// InterceptActivity wraps one execution.
func (e *edge) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &inbound{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, edge: e}
}

type inbound struct {
	interceptor.ActivityInboundInterceptorBase
	edge *edge
	out  *outbound
}

// Init puts the heartbeat's keeper in between.
func (i *inbound) Init(next interceptor.ActivityOutboundInterceptor) error {
	i.out = &outbound{ActivityOutboundInterceptorBase: interceptor.ActivityOutboundInterceptorBase{Next: next}}
	return i.Next.Init(i.out)
}

// ExecuteActivity runs the activity between heartbeats.
func (i *inbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	beating, stop := context.WithCancel(ctx)
	var beats sync.WaitGroup
	if info.HeartbeatTimeout > 0 {
		beats.Go(func() { i.out.beat(beating, info.HeartbeatTimeout/3) })
	}
	began := time.Now()
	result, err := i.Next.ExecuteActivity(ctx, in)
	i.edge.metrics.attempt(context.WithoutCancel(ctx), info.ActivityType.Name, err, time.Since(began))
	stop()
	beats.Wait()
	if err != nil {
		f := failure.Of(err)
		i.edge.log.WarnContext(ctx, "activity failed", "activity", info.ActivityType.Name, "workflow", info.WorkflowExecution.ID,
			"attempt", info.Attempt, "code", f.Code, "error", err)
		if ctx.Err() != nil && f.Retryable() {
			return result, ctx.Err() // canceled, not failed
		}
		return result, ontemporal.Again(f, info.Attempt < settling && mayPass(f.Code))
	}
	return result, nil
}

// settling is for how many attempts (some 20 s) an answer that is often only
// early is asked again: rights that were just granted aren't known to every API
// server yet, a rolled worker's transaction is cut, a token is being rotated.
const settling = 8

func mayPass(code failure.Code) bool {
	return code == failure.Forbidden || code == failure.Unauthorized || code == failure.Internal
}

// outbound remembers the last progress, so that the beats repeat it.
type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	mutex sync.Mutex
	last  []any
}

// RecordHeartbeat keeps the details and passes them on.
func (o *outbound) RecordHeartbeat(ctx context.Context, details ...any) {
	o.mutex.Lock()
	o.last = details
	o.mutex.Unlock()
	o.Next.RecordHeartbeat(ctx, details...)
}

func (o *outbound) beat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			o.mutex.Lock()
			last := o.last
			o.mutex.Unlock()
			o.Next.RecordHeartbeat(ctx, last...)
		}
	}
}
