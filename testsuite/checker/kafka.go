package checker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// KafkaOptions says what the relay job was to write.
type KafkaOptions struct {
	Brokers []string // host:port
	Topic   string
	// Records is how many each partition must hold exactly; 0 means that any number will do.
	Records int64
	// MinRecords is how many there must be at least, over all partitions; 0 means 1.
	MinRecords int64
}

// KafkaReport is what a read-committed reader of the topic finds.
type KafkaReport struct {
	Problems   []string         `json:"problems"`
	Partitions []KafkaPartition `json:"partitions"`
	Versions   []string         `json:"versions"` // that wrote
}

// KafkaPartition is one partition's part of it.
type KafkaPartition struct {
	Partition int   `json:"partition"`
	Records   int64 `json:"records"` // committed
	Aborted   int64 `json:"aborted"` // records of transactions that were given up: no reader sees them
	// Stable is where read-committed readers must stop, End where the partition does: an open transaction lies between.
	Stable int64 `json:"stable"`
	End    int64 `json:"end"`
}

// OK says that the topic was read, holds enough, and nothing is wrong with it.
func (r KafkaReport) OK() bool { return len(r.Problems) == 0 }

// Records is how many there are in all partitions.
func (r KafkaReport) Records() (n int64) {
	for _, p := range r.Partitions {
		n += p.Records
	}
	return n
}

// WriteText writes the report for people.
func (r KafkaReport) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Partitions {
		fmt.Fprintf(&b, "partition %d: %d records committed, %d aborted, readable until %d of %d\n", p.Partition, p.Records, p.Aborted, p.Stable, p.End)
	}
	fmt.Fprintf(&b, "versions  %s\n", strings.Join(r.Versions, ", "))
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "PROBLEM   %s\n", p)
	}
	if r.OK() {
		b.WriteString("OK        every number of every partition exactly once, in order, every count right\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// CheckKafka reads the topic as a read-committed consumer does and judges it. The error says that it could not look.
func CheckKafka(ctx context.Context, o KafkaOptions) (KafkaReport, error) {
	addr := kafka.TCP(o.Brokers...)
	transport := &kafka.Transport{DialTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: addr, Timeout: 20 * time.Second, Transport: transport}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{o.Topic}})
	if err != nil {
		return KafkaReport{}, fmt.Errorf("ask Kafka for topic %s: %w", o.Topic, err)
	}
	if err := metadata.Topics[0].Error; err != nil {
		return KafkaReport{}, fmt.Errorf("topic %s: %w", o.Topic, err)
	}
	j := newKafkaJudge(o)
	for _, p := range metadata.Topics[0].Partitions {
		if err := readPartition(ctx, client, o.Topic, p.ID, j.partition(p.ID)); err != nil {
			return KafkaReport{}, fmt.Errorf("read partition %d of %s: %w", p.ID, o.Topic, err)
		}
	}
	return j.report(), nil
}

// readPartition fetches from the partition's begin to its last stable offset.
func readPartition(ctx context.Context, client *kafka.Client, topic string, partition int, p *partitionJudge) error {
	const most = 16 << 20
	for next := int64(0); ; {
		answer, err := client.Transport.RoundTrip(ctx, client.Addr, &fetch.Request{
			ReplicaID: -1, MaxWaitTime: 100, MaxBytes: most, IsolationLevel: 1, SessionEpoch: -1,
			Topics: []fetch.RequestTopic{{Topic: topic, Partitions: []fetch.RequestPartition{{
				Partition: int32(partition), CurrentLeaderEpoch: -1, FetchOffset: next, LogStartOffset: -1, PartitionMaxBytes: most,
			}}}},
		})
		if err != nil {
			return err
		}
		response, ok := answer.(*fetch.Response)
		if !ok || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return fmt.Errorf("an answer of an unexpected form, %T", answer)
		}
		got := &response.Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			return kafka.Error(got.ErrorCode)
		}
		batches, err := batchesOf(got.RecordSet)
		if err != nil {
			return err
		}
		p.Stable, p.End = got.LastStableOffset, got.HighWatermark
		p.take(batches, got.AbortedTransactions)
		if len(batches) > 0 {
			next = batches[len(batches)-1].last + 1
		} else if next < got.LastStableOffset {
			return fmt.Errorf("nothing at offset %d, though %d is stable", next, got.LastStableOffset)
		}
		if next >= got.LastStableOffset {
			return nil
		}
	}
}

// batch is one batch of a partition's log.
type batch struct {
	producer      int64
	transactional bool
	control       bool // it ends a transaction; values are its records' keys
	last          int64
	values        []string
}

const abortMarker = "\x00\x00\x00\x00" // version 0, type 0: what the key of a control record says

func batchesOf(set protocol.RecordSet) ([]batch, error) {
	stream, ok := set.Records.(*protocol.RecordStream)
	if !ok {
		return nil, nil
	}
	all := make([]batch, 0, len(stream.Records))
	for _, reader := range stream.Records {
		b := batch{}
		switch r := reader.(type) {
		case *protocol.RecordBatch:
			b.producer, b.transactional = r.ProducerID, r.Attributes.Transactional()
		case *protocol.ControlBatch:
			b.producer, b.transactional, b.control = r.ProducerID, true, true
		default:
			return nil, fmt.Errorf("a batch of an old format, %T", reader)
		}
		if err := b.read(reader); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (b *batch) read(records protocol.RecordReader) error {
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		from := r.Value
		if b.control {
			from = r.Key
		}
		value, err := protocol.ReadAll(from)
		if err != nil {
			return err
		}
		b.values = append(b.values, string(value))
		b.last = r.Offset
	}
}

// kafkaJudge judges a topic.
type kafkaJudge struct {
	options    KafkaOptions
	partitions []*partitionJudge
	versions   map[string]bool
}

func newKafkaJudge(o KafkaOptions) *kafkaJudge {
	o.MinRecords = max(o.MinRecords, 1)
	return &kafkaJudge{options: o, versions: map[string]bool{}}
}

func (j *kafkaJudge) partition(id int) *partitionJudge {
	p := &partitionJudge{KafkaPartition: KafkaPartition{Partition: id}, versions: j.versions, given: map[int64]bool{}}
	j.partitions = append(j.partitions, p)
	return p
}

func (j *kafkaJudge) report() KafkaReport {
	r := KafkaReport{Problems: []string{}}
	slices.SortFunc(j.partitions, func(a, b *partitionJudge) int { return cmp.Compare(a.Partition, b.Partition) })
	for _, p := range j.partitions {
		r.Partitions = append(r.Partitions, p.KafkaPartition)
		r.Problems = append(r.Problems, p.problems(j.options.Records)...)
	}
	if n := r.Records(); n < j.options.MinRecords {
		r.Problems = append(r.Problems, fmt.Sprintf("%d records, at least %d expected: nothing is proven", n, j.options.MinRecords))
	}
	for version := range j.versions {
		r.Versions = append(r.Versions, version)
	}
	slices.Sort(r.Versions)
	return r
}

// partitionJudge follows one partition from its begin.
type partitionJudge struct {
	KafkaPartition
	versions map[string]bool
	given    map[int64]bool // producers whose transaction that we are in was aborted
	next     int64          // number

	missing, doubled, wrong, malformed examples
}

// take reads batches as a read-committed consumer does: those of aborted transactions are skipped, from the first offset
// that the broker names to the producer's marker.
func (p *partitionJudge) take(batches []batch, aborted []fetch.ResponseTransaction) {
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b fetch.ResponseTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	for _, b := range batches {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.last {
			p.given[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		switch {
		case b.control:
			if slices.Contains(b.values, abortMarker) {
				delete(p.given, b.producer)
			}
		case b.transactional && p.given[b.producer]:
			p.Aborted += int64(len(b.values))
		default:
			for _, value := range b.values {
				p.line(value)
			}
		}
	}
}

func (p *partitionJudge) line(value string) {
	partition, number, count, version, ok := parseOutput([]byte(value))
	if !ok {
		p.malformed.add("%q", value)
		return
	}
	p.Records++
	p.versions[string(bytes.Clone(version))] = true
	if partition != int64(p.Partition) || count != number+1 {
		p.wrong.add("%q", value)
	}
	switch {
	case number > p.next:
		p.missing.add("%s", span{First: p.next, Last: number - 1})
	case number < p.next:
		p.doubled.add("%d after %d", number, p.next-1)
	}
	p.next = max(p.next, number+1)
}

func (p *partitionJudge) problems(records int64) []string {
	var all []string
	add := func(when bool, text string, args ...any) {
		if when {
			all = append(all, fmt.Sprintf("partition %d: ", p.Partition)+fmt.Sprintf(text, args...))
		}
	}
	add(records > 0 && p.next != records, "it ends at number %d, not %d", p.next-1, records-1)
	add(p.missing.count > 0, "%s", p.missing.problem("gaps"))
	add(p.doubled.count > 0, "%s", p.doubled.problem("numbers again, or out of order"))
	add(p.wrong.count > 0, "%s", p.wrong.problem("records were not counted from the right state, or are elsewhere"))
	add(p.malformed.count > 0, "%s", p.malformed.problem("records can't be read"))
	add(p.Stable < p.End, "an open transaction blocks readers from offset %d of %d", p.Stable, p.End)
	return all
}
