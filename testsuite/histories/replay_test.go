// Package histories replays recorded histories on today's workflow code: a
// change that a running operation would not survive fails here. They come from
// scenarios on the real servers (testsuite/scenario, SLUICE_RECORD=1).
//
// recorded/ with counts.txt is the coming release's and may be recorded anew. At a
// release both are copied to released/<version>/ and never changed again: an
// operation that began under that release may still run.
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
	for _, set := range sets(t, ".") {
		replayAll(t, set)
	}
}

// sets are the directories with recorded histories: of the coming release, and of
// each one before.
func sets(t *testing.T, root string) []string {
	t.Helper()
	released, err := filepath.Glob(filepath.Join(root, "released", "*", "counts.txt"))
	require.NoError(t, err)
	all := []string{root}
	for _, counts := range released {
		all = append(all, filepath.Dir(counts))
	}
	return all
}

func TestReleasedHistoriesAreFound(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, "released", version), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "released", version, "counts.txt"), nil, 0o600))
	}
	require.Equal(t, []string{root, filepath.Join(root, "released", "v1.0.0"), filepath.Join(root, "released", "v1.1.0")}, sets(t, root))
}

func replayAll(t *testing.T, set string) {
	for scenario, want := range counts(t, filepath.Join(set, "counts.txt")) {
		t.Run(set+" "+scenario, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(set, "recorded", scenario, "*.json"))
			require.NoError(t, err)
			require.Len(t, files, want, "recorded histories of %s", scenario)
			for _, file := range files {
				replayer := worker.NewWorkflowReplayer()
				replayer.RegisterWorkflowWithOptions(upgrade.Workflow, workflow.RegisterOptions{Name: upgrade.WorkflowName})
				replayer.RegisterWorkflowWithOptions(upgrade.Recording, workflow.RegisterOptions{Name: upgrade.RecordingName})
				require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, file), file)
			}
		})
	}
}

func counts(t *testing.T, name string) map[string]int {
	t.Helper()
	file, err := os.Open(name)
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
