package upgrade_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/workflows/upgrade"
)

func kafkaFacts(timeout, most int64) upgrade.Facts {
	f := runningFacts(job.Request{Kind: job.Upgrade})
	f.Target.Revision.Spec.Kafka = &job.Kafka{Brokers: []string{"kafka:9092"}, TransactionTimeoutMS: timeout}
	f.Kafka = &activities.KafkaLimitsOut{MaxTransactionTimeoutMS: most}
	return f
}

func TestATransactionTimeoutAboveTheBrokersIsRefused(t *testing.T) {
	_, err := upgrade.Decide(kafkaFacts(900_001, 900_000))
	require.Equal(t, failure.Refused, failure.CodeOf(err))
	require.ErrorContains(t, err, "900001 ms")
	require.ErrorContains(t, err, "900000 ms")

	plan, err := upgrade.Decide(kafkaFacts(900_000, 900_000))
	require.NoError(t, err)
	require.Equal(t, &upgrade.Transactions{TimeoutMS: 900_000, BrokerMaxMS: 900_000}, plan.Transactions)

	plan, err = upgrade.Decide(kafkaFacts(60_000, 900_000))
	require.NoError(t, err)
	require.Equal(t, "a job that is down for more than 1m0s loses what its snapshot prepared; the brokers allow 15m0s", plan.Transactions.Warning)
}

// Others' histories have no such activity.
func TestKafkaIsAskedForRevisionsThatNameIt(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Upgrade})
	w.run()
	require.NotContains(t, w.calls, activities.KafkaLimits.Name)

	w = newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.Revision.Spec.Kafka = kafkaFacts(60_000, 0).Target.Revision.Spec.Kafka
	on(w, activities.KafkaLimits, func(in activities.KafkaLimitsIn) (activities.KafkaLimitsOut, error) {
		require.Equal(t, []string{"kafka:9092"}, in.Brokers)
		return activities.KafkaLimitsOut{MaxTransactionTimeoutMS: 900_000}, nil
	})
	w.run()
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.EqualValues(t, 900_000, w.progress(t).Plan.Transactions.BrokerMaxMS)
}

// The time until which a stopped job must run again is that of what was stopped.
func TestWhileStoppedTheProgressSaysWhenTransactionsExpire(t *testing.T) {
	w := newWorld(t, job.Request{Kind: job.Stop})
	w.facts.Target.CurrentSpec.Kafka = kafkaFacts(60_000, 0).Target.Revision.Spec.Kafka
	w.run()
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.NotEmpty(t, w.progress(t).TransactionsExpireAt)

	w = newWorld(t, job.Request{Kind: job.Upgrade})
	w.facts.Target.CurrentSpec.Kafka = kafkaFacts(60_000, 0).Target.Revision.Spec.Kafka
	w.run()
	require.Equal(t, job.Committed, w.progress(t).Phase)
	require.Empty(t, w.progress(t).TransactionsExpireAt, "it runs")
}
