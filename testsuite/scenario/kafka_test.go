//go:build scenario

package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/testsuite/faults"
	. "sluice/testsuite/scenario"
)

// kafkaExactlyOnce: whatever happens to the job, a read-committed reader of its
// output sees every number once and in order, and is never blocked for good.
func kafkaExactlyOnce(t *testing.T) {
	w := Given(t, "shop")
	stop := w.Feed()
	w.Apply(w.Relay("counter-v1.jar", 1))
	o := w.Run(Request(job.Start))
	require.EqualValues(t, 900_000, o.Progress.Plan.Transactions.BrokerMaxMS)
	require.Contains(t, o.Progress.Plan.Transactions.Warning, "15m0s")
	w.Relayed(300)

	w.Apply(w.Relay("counter-v2.jar", 1))
	o = w.Run(Request(job.Upgrade))
	require.Empty(t, o.Progress.TransactionsExpireAt, "they are committed")
	w.Relayed(2000)

	w.Apply(w.Relay("counter-v1.jar", 1).With("--fail-after-seconds", "4"))
	o = w.RollsBack(failsInSoak())
	require.Contains(t, o.Progress.Rollback.RestorePath, "/chk-", "what it committed is in its own newest checkpoint")
	require.Empty(t, o.Progress.TransactionsExpireAt, "the old revision committed them")
	w.RelayedMore(600)

	w.Apply(w.Relay("counter-v1.jar", 1))
	workers := w.Processes("sluice-system", "app.kubernetes.io/name=sluice-worker")
	accepted := w.Begin(Request(job.Upgrade))
	w.AfterActivity(activities.StopJob.Name)
	w.Kill(workers)
	late, err := faults.Completed(t.Context(), w.Temporal, job.Ref{Tenant: w.Tenant, Name: w.Name}.WorkflowID(), activities.SubmitJob.Name)
	require.NoError(t, err)
	require.False(t, late, "the kill came after the submission: it shows nothing")
	o = w.Wait(accepted.Operation)
	require.Equal(t, job.Committed, o.Phase, "%+v", o.Progress)
	w.Say("committed all the same, downtime %d ms", o.Progress.DowntimeMS)

	fed := stop()
	w.Relayed(fed * Partitions)
	o = w.Run(Request(job.Stop))
	expires, err := time.Parse(time.RFC3339, o.Progress.TransactionsExpireAt)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(10*time.Minute), expires, time.Minute)
	w.GreenKafka(fed, "v1", "v2")
}

// kafkaKilled: a TaskManager dies in the middle of its transactions. They block
// read-committed readers until the brokers give them up, ten minutes later, unless
// what runs next aborts them: it has the same prefix.
func kafkaKilled(t *testing.T) {
	w := Given(t, "shop")
	stop := w.Feed()
	w.Apply(w.Relay("counter-v1.jar", 1))
	w.Run(Request(job.Start))
	w.Relayed(300)

	taskManager := w.Processes("shop", w.Selector(1, "taskmanager"))
	open := w.NewTransactions()
	w.Kill(taskManager)
	w.StillOpen(open)
	w.RelayedMore(600)
	w.Say("readers go on")

	w.Apply(w.Relay("counter-v2.jar", 1))
	w.Run(Request(job.Upgrade))
	w.RelayedMore(300)
	fed := stop()
	w.Relayed(fed * Partitions)
	w.Run(Request(job.Stop))
	w.GreenKafka(fed, "v1", "v2")
}

// kafkaTimeoutRefused: what the broker would refuse after the stop is refused in
// the plan, with both values.
func kafkaTimeoutRefused(t *testing.T) {
	w := Given(t, "shop")
	stop := w.Feed()
	relay := w.Relay("counter-v1.jar", 1)
	relay.Kafka.TransactionTimeoutMS = 3_600_000
	w.Apply(relay)
	o := w.Fails(Request(job.Start))
	require.Equal(t, failure.Refused, o.Progress.Failure.Code)
	require.Contains(t, o.Progress.Failure.Message, "3600000 ms")
	require.Contains(t, o.Progress.Failure.Message, "900000 ms")
	require.False(t, w.Exists(1), "nothing was made")

	w.Apply(w.Relay("counter-v1.jar", 1))
	w.Run(Request(job.Start))
	w.Relayed(300)
	w.Apply(w.Relay("counter-v2.jar", 2).On("2.3.0"))
	w.Run(Request(job.Upgrade))
	fed := stop()
	w.Relayed(fed * Partitions)
	w.Run(Request(job.Stop))
	w.GreenKafka(fed, "v1", "v2")
}
