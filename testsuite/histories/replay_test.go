// Package histories replays recorded histories on today's workflow code: a
// change that a running operation would not survive fails here. They come from
// scenarios on the real servers (testsuite/scenario, SLUICE_RECORD=1).
package histories_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"sluice/workflows/upgrade"
)

// TestReplay also fails when a recorded history is lost: counts.txt says how
// many there are of each scenario.
func TestReplay(t *testing.T) {
	for scenario, want := range counts(t) {
		t.Run(scenario, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join("recorded", scenario, "*.json"))
			require.NoError(t, err)
			require.Len(t, files, want, "recorded histories of %s", scenario)
			for _, file := range files {
				replayer := worker.NewWorkflowReplayer()
				replayer.RegisterWorkflowWithOptions(upgrade.Workflow, workflow.RegisterOptions{Name: upgrade.WorkflowName})
				require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, file), file)
			}
		})
	}
}

func counts(t *testing.T) map[string]int {
	t.Helper()
	file, err := os.Open("counts.txt")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	all := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, count, ok := strings.Cut(lines.Text(), " ")
		require.True(t, ok, lines.Text())
		n, err := strconv.Atoi(count)
		require.NoError(t, err)
		all[name] = n
	}
	require.NotEmpty(t, all)
	return all
}
