package activities

// The Kafka activities (activities/kafka).
var (
	// KafkaLimits asks the brokers of a revision what they allow.
	KafkaLimits = Def[KafkaLimitsIn, KafkaLimitsOut]{"kafka.Limits", Quick}
)

// KafkaLimitsIn names brokers, host:port.
type KafkaLimitsIn struct {
	Brokers []string `json:"brokers"`
}

// KafkaLimitsOut is the strictest answer of all brokers of the cluster.
type KafkaLimitsOut struct {
	MaxTransactionTimeoutMS int64 `json:"maxTransactionTimeoutMs"` // transaction.max.timeout.ms
}
