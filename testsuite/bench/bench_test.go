//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/internal/job"
	"sluice/testsuite/audit"
	"sluice/testsuite/bench"
	"sluice/testsuite/checker"
	"sluice/testsuite/scenario"
)

// round is what each pair of jobs goes through. In place comes between: the warm
// upgrade has left a small cluster, and the cold one makes a small one again, so
// that no TaskManager is taken away in place. That may cost the tasks a restart,
// and ten of those in a row are more than Flink's limit.
var round = []job.Strategy{job.Warm, job.InPlace, job.Cold}

// TestUpgrade prints figures, those of this machine at this hour, and fails where
// they are over their targets.
func TestUpgrade(t *testing.T) {
	report := bench.Report{Pairs: int(number(t, "SLUICE_BENCH_PAIRS", 10))}
	measured := t.Run("pairs", func(t *testing.T) { report.Measures = measure(t, report.Pairs) })
	if bytes := number(t, "SLUICE_BENCH_STATE", 0); measured && bytes > 0 {
		t.Run("state", func(t *testing.T) { report.State = upgradeLargeState(t, bytes) })
	}
	fmt.Printf("\n%s\n", report.Table())
	if path := os.Getenv("SLUICE_BENCH_JSON"); path != "" {
		data, err := json.MarshalIndent(report, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o600))
	}
	require.Empty(t, report.Missed(), "over their targets")
}

func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, name)
	require.GreaterOrEqual(t, n, int64(0), name)
	return n
}

func measure(t *testing.T, pairs int) []bench.Verdict {
	require.Positive(t, pairs)
	sluice, plain := newSluice(t), newPlain(t)
	for i := range pairs {
		for _, strategy := range round {
			if i%2 == 0 { // who goes first alternates too
				sluice.change(strategy)
				plain.change(strategy)
			} else {
				plain.change(strategy)
				sluice.change(strategy)
			}
		}
		fmt.Printf("pair %d of %d\n", i+1, pairs)
	}
	sluice.w.Run(scenario.Request(job.Stop))
	require.NoError(t, plain.p.End(t.Context()))
	ours, floor := sluice.judged(pairs), plain.judged(pairs)
	for _, strategy := range round {
		fmt.Printf("\n%s, pause by the job's own trace, ms, %d pairs\n", strategy, pairs)
		row("sluice", pauses(ours, strategy))
		row("plain script (floor)", pauses(floor, strategy))
		fmt.Printf("  request → committed without the soak, ms\n")
		row("sluice", sluice.whole[strategy])
		row("plain script (floor)", plain.whole[strategy])
		fmt.Printf("  where sluice's time went (medians, ms):\n")
		sluice.printSteps(strategy)
		plain.printSteps(strategy)
		row("requests to the API server", sluice.requests[strategy])
	}
	fmt.Printf("\nrequests to the API server of the last warm upgrade, besides watches:\n%s", audit.Table(sluice.last))
	return verdicts(sluice, plain, ours, floor)
}

func verdicts(sluice *sluiceSide, plain *plainSide, ours, floor checker.Report) []bench.Verdict {
	all := []bench.Measure{
		{Name: "warm: pause, ms", Sluice: pauses(ours, job.Warm), Floor: pauses(floor, job.Warm), MostRatio: 1.3},
		{Name: "in place: pause, ms", Sluice: pauses(ours, job.InPlace), Floor: pauses(floor, job.InPlace), MostRatio: 1.3},
		{Name: "warm: request → committed without soak, ms", Sluice: sluice.whole[job.Warm], Floor: plain.whole[job.Warm], MostRatio: 1.5},
		{Name: "warm: requests to the API server", Sluice: sluice.requests[job.Warm], Most: scenario.MaxRequests},
		{Name: "cold: pause, ms", Sluice: pauses(ours, job.Cold), Floor: pauses(floor, job.Cold)},
		{Name: "in place: request → committed without soak, ms", Sluice: sluice.whole[job.InPlace], Floor: plain.whole[job.InPlace]},
	}
	judged := make([]bench.Verdict, len(all))
	for i, m := range all {
		judged[i] = bench.Judge(m)
	}
	return judged
}

// pauses are those of all changes of one kind, as the checker read them: between
// two submissions; in place the longest from when Flink was told.
func pauses(r checker.Report, strategy job.Strategy) bench.Figures {
	var all bench.Figures
	if strategy == job.InPlace {
		for _, p := range r.Trace.Pauses {
			all = append(all, float64(p.Millis))
		}
		return all
	}
	for i, h := range r.Trace.HandOvers { // warm and cold by turns
		if (i%2 == 0) == (strategy == job.Warm) {
			all = append(all, float64(h.PauseMillis))
		}
	}
	return all
}

func row(name string, f bench.Figures) {
	if len(f) == 0 {
		return
	}
	fmt.Printf("  %-28s median %7.0f   min %7.0f   max %7.0f   quartiles %.0f–%.0f\n",
		name, f.Median(), slices.Min(f), slices.Max(f), f.Quantile(0.25), f.Quantile(0.75))
}
