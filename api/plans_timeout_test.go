package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
)

func TestADeadlineIsKnownHoweverItIsTold(t *testing.T) {
	require.True(t, timedOut(fmt.Errorf("get: %w", context.DeadlineExceeded)))
	require.True(t, timedOut(fmt.Errorf("get: %w", serviceerror.NewDeadlineExceeded("context deadline exceeded"))))
	require.False(t, timedOut(errors.New("away")))
	require.False(t, timedOut(serviceerror.NewUnavailable("away")))
}
