package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamesRoundTrip(t *testing.T) {
	for _, jobName := range []string{"a", "orders", "orders-g2", "orders-g2-client", "x-config", "g1", "a-g1-g2-keys", strings.Repeat("x", 30)} {
		for _, generation := range []int{1, 9, 10, 4711} {
			name := Name{Job: jobName, Generation: generation}
			require.NoError(t, name.Check())
			for text, part := range map[string]string{
				name.Root(): "", name.Config(): "config", name.Keys(): "keys",
				name.Deployment(Client): "client", name.Deployment(JobManager): "jobmanager", name.Service(TaskManager): "taskmanager",
			} {
				got, gotPart, ok := Parse(text)
				require.True(t, ok, text)
				require.Equal(t, name, got, text)
				require.Equal(t, part, gotPart, text)
				require.LessOrEqual(t, len(text), maxName)
			}
		}
	}
}

func TestParseTakesNothingElse(t *testing.T) {
	for _, text := range []string{"", "orders", "orders-g0", "orders-g01", "orders-g1-", "orders-g1-worker", "-g1", "Orders-g1", "orders-g1-client-5c8f9-abcde", "orders-g9999999999"} {
		_, _, ok := Parse(text)
		require.False(t, ok, text)
	}
}

func TestCheckRole(t *testing.T) {
	for _, role := range Roles {
		got, err := CheckRole(string(role))
		require.NoError(t, err)
		require.Equal(t, role, got)
	}
	_, err := CheckRole("worker")
	require.ErrorContains(t, err, "not a role")
}
