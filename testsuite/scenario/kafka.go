package scenario

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"sluice/internal/job"
	"sluice/testsuite/checker"
)

// Partitions of a relay's topics.
const Partitions = 3

// Broker is the stack's.
func (w *World) Broker() string { return env(w.T, "SLUICE_KAFKA") }

func (w *World) input() string { return w.Name + "-in" }

func (w *World) relayed() string { return w.Name + "-out" }

// Relay is the Kafka job of a jar, with the connector of a line of Flink (1 or 2).
func (w *World) Relay(jar string, line int) Version {
	n := strconv.Itoa(line)
	return Version{
		Jar: jar, Entry: "io.sluice.jobs.Relay", Depends: []string{"kafka-connector-" + n + ".jar", "kafka-clients-" + n + ".jar"},
		Kafka: &job.Kafka{Brokers: []string{w.Broker()}, TransactionTimeoutMS: 600_000},
		Args: []string{"--brokers", "${kafka.brokers}", "--input", w.input(), "--output", w.relayed(),
			"--transactions", "${job.uid}", "--transaction-timeout-ms", "${kafka.transactionTimeoutMs}"},
	}
}

// Feed makes the topics and writes 0, 1, 2, … into each partition of the input,
// 100 a second, until it is stopped; how many each got is returned then.
func (w *World) Feed() (stop func() int64) {
	w.T.Helper()
	client := &kafka.Client{Addr: kafka.TCP(w.Broker()), Timeout: 20 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	w.T.Cleanup(cancel)
	topics := []string{w.input(), w.relayed()}
	made, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: topics[0], NumPartitions: Partitions, ReplicationFactor: 1}, {Topic: topics[1], NumPartitions: Partitions, ReplicationFactor: 1},
	}})
	require.NoError(w.T, err)
	for topic, err := range made.Errors {
		require.NoError(w.T, err, topic)
	}
	w.T.Cleanup(func() {
		_, _ = client.DeleteTopics(context.Background(), &kafka.DeleteTopicsRequest{Topics: topics})
	})
	w.Until("the topics have leaders", 20*time.Second, func() bool {
		found, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
		return err == nil && len(found.Topics) == 2 && found.Topics[0].Error == nil && found.Topics[1].Error == nil &&
			len(found.Topics[0].Partitions) == Partitions && len(found.Topics[1].Partitions) == Partitions
	})
	fed, failed := make(chan int64, 1), make(chan error, 1)
	go func() {
		n, err := feed(ctx, client, topics[0])
		failed <- err
		fed <- n
	}()
	return func() int64 {
		w.T.Helper()
		cancel()
		require.NoError(w.T, <-failed)
		n := <-fed
		w.Say("fed %d numbers to each of %d partitions", n, Partitions)
		return n
	}
}

// feed writes whole rows: every partition gets the same numbers.
func feed(ctx context.Context, client *kafka.Client, topic string) (next int64, err error) {
	const row = 10
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return next, nil
		case <-tick.C:
		}
		for partition := range Partitions {
			if err := produce(context.WithoutCancel(ctx), client, topic, partition, next, row); err != nil {
				return next, err
			}
		}
		next += row
	}
}

// produce repeats what a broker refused because it doesn't lead a partition that
// was just made: it has written nothing then.
func produce(ctx context.Context, client *kafka.Client, topic string, partition int, first, n int64) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		records := make([]kafka.Record, n)
		for i := range records {
			records[i].Value = kafka.NewBytes([]byte(strconv.FormatInt(first+int64(i), 10)))
		}
		answer, err := client.Produce(ctx, &kafka.ProduceRequest{
			Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
		})
		if err != nil {
			return false, err
		}
		if errors.Is(answer.Error, kafka.NotLeaderForPartition) || errors.Is(answer.Error, kafka.UnknownTopicOrPartition) {
			return false, nil
		}
		return true, answer.Error
	})
}

// Relayed waits for so many committed records, over all partitions.
func (w *World) Relayed(atLeast int64) {
	w.T.Helper()
	w.UntilRead(strconv.FormatInt(atLeast, 10)+" committed records", 2*time.Minute, func() bool {
		report, err := w.kafkaReport(checker.KafkaOptions{})
		return err == nil && report.Records() >= atLeast
	})
}

// RelayedMore waits for so many more than there are now.
func (w *World) RelayedMore(n int64) {
	w.T.Helper()
	report, err := w.kafkaReport(checker.KafkaOptions{})
	require.NoError(w.T, err)
	w.Relayed(report.Records() + n)
}

// Transactions are those that are open: by partition, the first offset, at which
// its read-committed readers must wait.
type Transactions map[int]int64

// OpenTransactions are those of now.
func (w *World) OpenTransactions() Transactions {
	w.T.Helper()
	report, err := w.kafkaReport(checker.KafkaOptions{})
	require.NoError(w.T, err)
	open := Transactions{}
	for _, p := range report.Partitions {
		if p.Stable < p.End {
			open[p.Partition] = p.Stable
		}
	}
	return open
}

// NewTransactions waits for transactions that were opened just now, behind a
// commit: the next commit is as far away as it can be.
func (w *World) NewTransactions() (open Transactions) {
	w.T.Helper()
	before := w.OpenTransactions()
	w.Until("transactions that were just opened", time.Minute, func() bool {
		open = w.OpenTransactions()
		for partition, first := range open {
			if was, known := before[partition]; known && was == first {
				delete(open, partition)
			}
		}
		return len(open) > 0
	})
	return open
}

// StillOpen requires that one of the transactions that were open before a kill is
// open after it: the kill came in the middle of it. Another one of the same
// partition begins behind it.
func (w *World) StillOpen(before Transactions) {
	w.T.Helper()
	after, same := w.OpenTransactions(), 0
	for partition, first := range after {
		if was, known := before[partition]; known && was == first {
			w.Say("partition %d: the transaction from offset %d was open when the kill came", partition, first)
			same++
		}
	}
	require.NotZero(w.T, same, "open before the kill: %v, after it: %v: it came in no transaction and shows nothing", before, after)
}

func (w *World) kafkaReport(o checker.KafkaOptions) (checker.KafkaReport, error) {
	o.Brokers, o.Topic = []string{w.Broker()}, w.relayed()
	return checker.CheckKafka(context.Background(), o)
}

// GreenKafka is how a story of the relay ends: every number that was fed is there
// once, in order, and no transaction is left open.
func (w *World) GreenKafka(fed int64, versions ...string) checker.KafkaReport {
	w.T.Helper()
	report, err := w.kafkaReport(checker.KafkaOptions{Records: fed})
	require.NoError(w.T, err)
	var text strings.Builder
	require.NoError(w.T, report.WriteText(&text))
	for line := range strings.Lines(text.String()) {
		w.Say("%s", strings.TrimSpace(line))
	}
	require.True(w.T, report.OK(), report.Problems)
	require.ElementsMatch(w.T, versions, report.Versions, "versions in the output")
	w.record()
	return report
}
