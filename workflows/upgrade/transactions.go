package upgrade

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/internal/flow"
)

// Transactions is what a plan says of a job whose sinks write to Kafka in
// transactions. What its savepoint prepared is committed by the submission that
// restores it; the broker gives it up when the timeout is over before.
type Transactions struct {
	TimeoutMS   int64  `json:"timeoutMs"`   // of the target revision
	BrokerMaxMS int64  `json:"brokerMaxMs"` // transaction.max.timeout.ms
	Warning     string `json:"warning,omitempty"`
}

// askKafka asks where the answer may stop something: a start, or a revision that
// says other things of Kafka than the one that runs. What runs already may be
// changed, and brought back, while Kafka is away.
func (r *run) askKafka(ctx workflow.Context) (limits func() (*activities.KafkaLimitsOut, error)) {
	kafka := r.target.Revision.Spec.Kafka
	if !r.changes() || kafka == nil || r.in.Request.Kind != job.Start && kafka.Equal(r.runningSpec().Kafka) {
		return func() (*activities.KafkaLimitsOut, error) { return nil, nil }
	}
	asked := flow.Go(ctx, r.queue, activities.KafkaLimits, activities.KafkaLimitsIn{Brokers: kafka.Brokers}, "what do the Kafka brokers allow?")
	return func() (*activities.KafkaLimitsOut, error) {
		out, err := asked.Get(ctx)
		return &out, err
	}
}

// transactions sets the sinks' timeout against what the brokers take: above it no
// producer gets a transactional id, and the job fails right after the stop.
func transactions(f Facts) (*Transactions, error) {
	kafka, limits := f.Target.Revision.Spec.Kafka, f.Kafka
	if kafka == nil || limits == nil {
		return nil, nil //nolint:nilnil // "none" is an answer
	}
	t := &Transactions{TimeoutMS: kafka.TransactionTimeoutMS, BrokerMaxMS: limits.MaxTransactionTimeoutMS}
	timeout, most := milliseconds(t.TimeoutMS), milliseconds(t.BrokerMaxMS)
	if timeout > most {
		return nil, failure.New(failure.Refused, "the transaction timeout of the revision, %s (%d ms), is above the brokers' maximum, %s (%d ms): the job could never start", timeout, t.TimeoutMS, most, t.BrokerMaxMS).
			WithNext("lower kafka.transactionTimeoutMs of the revision, or have transaction.max.timeout.ms of the brokers raised")
	}
	if timeout < most {
		t.Warning = "a job that is down for more than " + timeout.String() + " loses what its snapshot prepared; the brokers allow " + most.String()
	}
	return t, nil
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// transactionsWait notes until when a job with this spec must run again, now that
// it is stopped or isn't what it should be: then the brokers give up what its
// snapshots prepared. That is the latest; a transaction is as old as the checkpoint
// interval by now.
func (r *run) transactionsWait(ctx workflow.Context, spec job.Spec) {
	if spec.Kafka == nil {
		return
	}
	r.progress.TransactionsExpireAt = stamp(workflow.Now(ctx).Add(milliseconds(spec.Kafka.TransactionTimeoutMS)))
}
