package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
)

// A revision doesn't choose where a worker connects to.
func TestOnlyTheSitesBrokersAreAsked(t *testing.T) {
	a := New([]string{"kafka-1:9092", "kafka-2:9092"})
	for _, brokers := range [][]string{{"169.254.169.254:80"}, {"kafka-1:9092", "kafka-1:22"}} {
		_, err := a.Limits(t.Context(), activities.KafkaLimitsIn{Brokers: brokers})
		require.Equal(t, failure.Invalid, failure.CodeOf(err))
		require.ErrorContains(t, err, brokers[len(brokers)-1])
	}
	require.NoError(t, a.allowed([]string{"kafka-2:9092"}))
}
