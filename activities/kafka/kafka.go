// Package kafka implements the Kafka activities over segmentio/kafka-go. It only
// asks: it writes nothing and reads no topic.
package kafka

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"sluice/activities"
	"sluice/internal/failure"
)

// Activities of one site.
type Activities struct{ brokers []string }

// New makes them. brokers (host:port) are those that a revision may name: a
// worker connects to no other address that a tenant thought of.
func New(brokers []string) *Activities { return &Activities{brokers: brokers} }

// Register registers every activity under its Def's name.
func (a *Activities) Register(registry activities.Registry) {
	activities.Register(registry, activities.KafkaLimits, a.Limits)
}

const (
	callTimeout    = 10 * time.Second
	maxTransaction = "transaction.max.timeout.ms"
)

// Limits asks every broker of the cluster: any of them may become the
// coordinator of a transaction.
func (a *Activities) Limits(ctx context.Context, in activities.KafkaLimitsIn) (activities.KafkaLimitsOut, error) {
	if err := a.allowed(in.Brokers); err != nil {
		return activities.KafkaLimitsOut{}, err
	}
	transport := &kafka.Transport{DialTimeout: callTimeout}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(in.Brokers...), Timeout: callTimeout, Transport: transport}
	names := strings.Join(in.Brokers, ", ")
	cluster, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
	if err != nil {
		return activities.KafkaLimitsOut{}, failure.Wrap(failure.Unavailable, err, "Kafka at %s doesn't answer", names)
	}
	least := int64(0)
	for _, broker := range cluster.Brokers {
		limit, err := maxTransactionTimeout(ctx, client, broker.ID)
		if err != nil {
			return activities.KafkaLimitsOut{}, failure.Wrap(failure.Unavailable, err, "broker %d of Kafka at %s doesn't tell its %s", broker.ID, names, maxTransaction)
		}
		if least == 0 || limit < least {
			least = limit
		}
	}
	if least == 0 {
		return activities.KafkaLimitsOut{}, failure.New(failure.Unavailable, "Kafka at %s names no brokers", names)
	}
	return activities.KafkaLimitsOut{MaxTransactionTimeoutMS: least}, nil
}

func (a *Activities) allowed(brokers []string) error {
	for _, broker := range brokers {
		if !slices.Contains(a.brokers, broker) {
			return failure.New(failure.Invalid, "this site has no Kafka broker %q", broker).
				WithNext("name one of: %s; a site's brokers are in its workers' configuration (kafka.brokers)", strings.Join(a.brokers, ", "))
		}
	}
	return nil
}

func maxTransactionTimeout(ctx context.Context, client *kafka.Client, broker int) (int64, error) {
	answer, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeBroker, ResourceName: strconv.Itoa(broker), ConfigNames: []string{maxTransaction},
	}}})
	if err != nil {
		return 0, err
	}
	for _, resource := range answer.Resources {
		if resource.Error != nil {
			return 0, resource.Error
		}
		for _, entry := range resource.ConfigEntries {
			if entry.ConfigName == maxTransaction {
				return strconv.ParseInt(entry.ConfigValue, 10, 64)
			}
		}
	}
	return 0, failure.New(failure.Unavailable, "it isn't in the answer")
}
