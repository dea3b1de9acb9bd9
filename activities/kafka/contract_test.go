//go:build contract

package kafka

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/activities"
	"sluice/internal/failure"
)

// A real broker with its defaults: 15 minutes.
func TestLimits(t *testing.T) {
	broker := os.Getenv("SLUICE_KAFKA")
	require.NotEmpty(t, broker, "set SLUICE_KAFKA to a broker's host:port")
	out, err := New([]string{broker}).Limits(t.Context(), activities.KafkaLimitsIn{Brokers: []string{broker}})
	require.NoError(t, err)
	require.EqualValues(t, 900_000, out.MaxTransactionTimeoutMS)
}

func TestNobodyThere(t *testing.T) {
	_, err := New([]string{"127.0.0.1:1"}).Limits(t.Context(), activities.KafkaLimitsIn{Brokers: []string{"127.0.0.1:1"}})
	require.Equal(t, failure.Unavailable, failure.CodeOf(err))
}
