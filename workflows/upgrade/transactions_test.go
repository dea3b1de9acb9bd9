package upgrade_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/failure/ontemporal"
	"sluice/internal/job"
	"sluice/internal/lease"
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

// It says so too while the operation waits for a person, of what ran last.
func TestAWaitingOperationSaysWhenTransactionsExpire(t *testing.T) {
	kafka := func(ms int64) *job.Kafka { return kafkaFacts(ms, 0).Target.Revision.Spec.Kafka }
	dead := answer[agentapi.SubmitOut]{err: npe}
	for name, c := range map[string]struct {
		arrange func(*world)
		want    time.Duration // from the last time that the job ran
	}{
		"no savepoint, so the old job was canceled": {func(w *world) {
			w.facts.Request.WithoutSavepoint = true
			w.stops = []answer[agentapi.StopOut]{{out: agentapi.StopOut{JobState: "RUNNING", Cause: "disk full"}}}
			w.posts = []answer[agentapi.SubmitOut]{dead, dead}
		}, 600 * time.Second},
		"the new revision failed in its soak": {func(w *world) {
			w.env.OnActivity(activities.SoakJob.Name, anything, anything).Return(func(context.Context, activities.AgentIn) (agentapi.SoakOut, error) {
				_, _ = w.change(func(s lease.State) (lease.State, error) { return s.Record(s.Epoch, lease.Failed, "") })
				return agentapi.SoakOut{}, ontemporal.Error(npe)
			})
			w.posts = []answer[agentapi.SubmitOut]{{}, dead}
		}, 300 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, job.Request{Kind: job.Upgrade})
			w.facts.Checkpoint = activities.FindSnapshotOut{Path: "hdfs://nn/chk-4", CheckpointID: 4}
			w.facts.Target.CurrentSpec.Kafka, w.facts.Target.Revision.Spec.Kafka = kafka(600_000), kafka(300_000)
			on(w, activities.KafkaLimits, func(activities.KafkaLimitsIn) (activities.KafkaLimitsOut, error) {
				return activities.KafkaLimitsOut{MaxTransactionTimeoutMS: 900_000}, nil
			})
			c.arrange(w)
			var givenUp bool
			w.env.RegisterDelayedCallback(func() {
				p := w.progress(t)
				require.Equal(t, job.Waiting, p.Phase)
				expires, err := time.Parse(time.RFC3339, p.TransactionsExpireAt)
				require.NoError(t, err)
				require.WithinDuration(t, w.env.Now().Add(c.want-time.Hour), expires, time.Minute)
				w.decide(upgrade.OptionGiveUp, &givenUp)
			}, time.Hour)
			w.run()
			require.True(t, givenUp)
		})
	}
}
