package bench_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sluice/testsuite/bench"
)

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		measure bench.Measure
		ratio   float64
		ok      bool
	}{
		"at its target":        {bench.Measure{Sluice: bench.Figures{900, 130, 120}, Floor: bench.Figures{100}, MostRatio: 1.3}, 1.3, true},
		"over its target":      {bench.Measure{Sluice: bench.Figures{120, 131, 140}, Floor: bench.Figures{90, 100, 900}, MostRatio: 1.3}, 1.31, false},
		"below the floor":      {bench.Measure{Sluice: bench.Figures{80}, Floor: bench.Figures{100}, MostRatio: 1.3}, 0.8, true},
		"each at most":         {bench.Measure{Sluice: bench.Figures{51, 60}, Most: 60}, 0, true},
		"one above most":       {bench.Measure{Sluice: bench.Figures{51, 51, 61}, Most: 60}, 0, false},
		"reported only":        {bench.Measure{Sluice: bench.Figures{200}, Floor: bench.Figures{100}}, 2, true},
		"not measured":         {bench.Measure{Floor: bench.Figures{100}, MostRatio: 1.3}, 0, false},
		"without its floor":    {bench.Measure{Sluice: bench.Figures{100}, MostRatio: 1.3}, 0, false},
		"a floor of nothing":   {bench.Measure{Sluice: bench.Figures{100}, Floor: bench.Figures{0}, MostRatio: 1.3}, 0, false},
		"nothing, no target":   {bench.Measure{}, 0, false},
		"nothing, a most":      {bench.Measure{Most: 60}, 0, false},
		"median of four pairs": {bench.Measure{Sluice: bench.Figures{100, 400, 200, 300}, Floor: bench.Figures{100}, MostRatio: 2.5}, 2.5, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := bench.Judge(c.measure)
			require.InDelta(t, c.ratio, v.Ratio, 1e-9)
			require.Equal(t, c.ok, v.OK, "%+v", v)
		})
	}
}

func TestMissedTargetsAreNamed(t *testing.T) {
	report := bench.Report{Pairs: 2, Measures: []bench.Verdict{
		bench.Judge(bench.Measure{Name: "warm: pause, ms", Sluice: bench.Figures{983, 983}, Floor: bench.Figures{625, 625}, MostRatio: 1.3}),
		bench.Judge(bench.Measure{Name: "warm: requests", Sluice: bench.Figures{51, 52}, Most: 60}),
		bench.Judge(bench.Measure{Name: "cold: pause, ms", Sluice: bench.Figures{5580}, Floor: bench.Figures{5444}}),
	}, State: &bench.LargeState{Bytes: 1 << 30, SavepointBytes: 1<<30 + 5<<20, SavepointMS: 15200, PauseMS: 24300, WholeMS: 61000}}
	require.Equal(t, []string{"warm: pause, ms"}, report.Missed())
	require.Equal(t, `medians of 2 pairs                               sluice    (max)    floor  ratio  target
warm: pause, ms                                     983      983      625   1.57  ratio ≤ 1.30  OVER
warm: requests                                       52       52        –      –  each ≤ 60  ok
cold: pause, ms                                    5580     5580     5444   1.02  reported
warm upgrade with 1024 MiB of state (reported): savepoint of 1029 MiB in 15.2 s, pause 24.3 s, request → committed 61.0 s
`, report.Table())
	_, err := json.Marshal(bench.Report{Measures: []bench.Verdict{bench.Judge(bench.Measure{})}})
	require.NoError(t, err, "what was not measured can be told too")
}
