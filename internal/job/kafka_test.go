package job

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlaceholdersAreFilledIn(t *testing.T) {
	s := goodSpec()
	s.Arguments = []string{"--ids", "orders-${job.uid}", "--brokers=${kafka.brokers}", "${kafka.transactionTimeoutMs}", "${HOME} stays"}
	s.Kafka = &Kafka{Brokers: []string{"a:9092", "b:9092"}, TransactionTimeoutMS: 600_000}
	require.Empty(t, s.Validate("/spec", nil))
	require.Equal(t, []string{"--ids", "orders-01UID", "--brokers=a:9092,b:9092", "600000", "${HOME} stays"}, s.ArgumentsOf("01UID"))
	require.Equal(t, "orders-${job.uid}", s.Arguments[1], "the revision stays as it is")
	s.Arguments = nil
	require.Empty(t, s.ArgumentsOf("01UID"))
}

func TestKafkaValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		want   []string
	}{
		"nothing":                {func(*Spec) {}, []string{}},
		"IPv6":                   {func(s *Spec) { s.Kafka.Brokers = []string{"[::1]:9092"} }, []string{}},
		"no broker":              {func(s *Spec) { s.Kafka.Brokers = nil }, []string{"/spec/kafka/brokers"}},
		"no port":                {func(s *Spec) { s.Kafka.Brokers = []string{"a:9092", "b"} }, []string{"/spec/kafka/brokers/1"}},
		"a list in one":          {func(s *Spec) { s.Kafka.Brokers = []string{"a:9092,b:9092"} }, []string{"/spec/kafka/brokers/0"}},
		"a URL":                  {func(s *Spec) { s.Kafka.Brokers = []string{"http://a:9092"} }, []string{"/spec/kafka/brokers/0"}},
		"no timeout":             {func(s *Spec) { s.Kafka.TransactionTimeoutMS = 0 }, []string{"/spec/kafka/transactionTimeoutMs"}},
		"misspelt":               {func(s *Spec) { s.Arguments = []string{"${job.id}"} }, []string{"/spec/arguments/0"}},
		"misspelt by its case":   {func(s *Spec) { s.Arguments = []string{"--ids=${JOB.uid}"} }, []string{"/spec/arguments/0"}},
		"another sign":           {func(s *Spec) { s.Arguments = []string{"${job.uid_2}"} }, []string{"/spec/arguments/0"}},
		"not closed":             {func(s *Spec) { s.Arguments = []string{"-${job.uid"} }, []string{"/spec/arguments/0"}},
		"the program's own":      {func(s *Spec) { s.Arguments = []string{"${jobName}", "${HOME}", "$job.uid"} }, []string{}},
		"a time of weeks":        {func(s *Spec) { s.Kafka.TransactionTimeoutMS = MaxTransactionTimeout + 1 }, []string{"/spec/kafka/transactionTimeoutMs"}},
		"a broker twice":         {func(s *Spec) { s.Kafka.Brokers = []string{"a:1", "b:1", "a:1"} }, []string{"/spec/kafka/brokers/2"}},
		"a placeholder of none":  {func(s *Spec) { s.Kafka, s.Arguments = nil, []string{"${kafka.brokers}"} }, []string{"/spec/arguments/0"}},
		"the uid needs no Kafka": {func(s *Spec) { s.Kafka, s.Arguments = nil, []string{"${job.uid}"} }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodSpec()
			s.Kafka = &Kafka{Brokers: []string{"kafka-1.example.com:9092"}, TransactionTimeoutMS: 1}
			c.change(&s)
			require.Equal(t, c.want, names(s.Validate("/spec", nil)))
		})
	}
}
