//go:build bench

package bench_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/internal/agentapi"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/manifest"
	"sluice/testsuite/audit"
	"sluice/testsuite/bench"
	"sluice/testsuite/checker"
	"sluice/testsuite/scenario"
)

// TestUpgrade prints, it doesn't judge: the figures are those of this machine
// at this hour. The two checkers at its end do judge.
func TestUpgrade(t *testing.T) {
	pairs := 10
	if n, err := strconv.Atoi(os.Getenv("SLUICE_BENCH_PAIRS")); err == nil && n > 0 {
		pairs = n
	}
	ctx := t.Context()
	sluice := newSluice(t)
	plain := newPlain(t)
	for _, strategy := range []job.Strategy{job.Warm, job.Cold} {
		for i := range pairs {
			if i%2 == 0 { // who goes first alternates too
				sluice.upgrade(strategy)
				plain.upgrade(ctx, strategy)
			} else {
				plain.upgrade(ctx, strategy)
				sluice.upgrade(strategy)
			}
			fmt.Printf("%s pair %d of %d\n", strategy, i+1, pairs)
		}
	}
	sluice.w.Run(scenario.Request(job.Stop))
	require.NoError(t, plain.p.End(ctx))
	ours, floor := sluice.w.Green("v1", "v2"), plain.green()
	require.Len(t, ours.Trace.HandOvers, 2*pairs)
	require.Len(t, floor.Trace.HandOvers, 2*pairs)
	for k, strategy := range []job.Strategy{job.Warm, job.Cold} {
		fmt.Printf("\n%s upgrade, pause by the job's own trace, ms, %d pairs\n", strategy, pairs)
		a, b := pauses(ours, k*pairs, pairs), pauses(floor, k*pairs, pairs)
		row("sluice", a)
		row("plain script (floor)", b)
		fmt.Printf("  %-28s %8.2f\n", "ratio of medians", median(a)/median(b))
		fmt.Printf("  where sluice's time went (medians, ms):\n")
		for _, name := range sluice.names {
			if steps := sluice.steps[strategy][name]; len(steps) > 0 {
				row("  "+name, steps)
			}
		}
		fmt.Printf("  the plain script's: prepare %.0f, stop %.0f, submit → RUNNING %.0f\n",
			median(plain.column(strategy, 0)), median(plain.column(strategy, 1)), median(plain.column(strategy, 2)))
		row("requests to the API server", sluice.requests[strategy])
	}
	fmt.Printf("\nrequests to the API server of the last warm upgrade (%d, at most %d), besides watches:\n%s", len(sluice.last), scenario.MaxRequests, audit.Table(sluice.last))
}

func pauses(r checker.Report, from, n int) []float64 {
	all := make([]float64, 0, n)
	for _, h := range r.Trace.HandOvers[from : from+n] {
		all = append(all, float64(h.PauseMillis))
	}
	return all
}

func row(name string, values []float64) {
	if len(values) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(values))
	fmt.Printf("  %-28s median %7.0f   min %7.0f   max %7.0f   quartiles %.0f–%.0f\n", name, median(values), sorted[0], sorted[len(sorted)-1], quantile(sorted, 0.25), quantile(sorted, 0.75))
}

func median(values []float64) float64 { return quantile(slices.Sorted(slices.Values(values)), 0.5) }

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	position := q * float64(len(sorted)-1)
	low := int(position)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(position-float64(low))
}

type sluiceSide struct {
	t        *testing.T
	w        *scenario.World
	next     int
	names    []string
	steps    map[job.Strategy]map[string][]float64
	requests map[job.Strategy][]float64
	audit    *audit.Log
	last     []audit.Event // of the newest warm upgrade
}

var versions = []scenario.Version{scenario.V1, scenario.V2}

func newSluice(t *testing.T) *sluiceSide {
	w := scenario.Given(t, "shop")
	w.Apply(scenario.V1)
	w.Run(scenario.Request(job.Start))
	w.Records(300)
	log, err := audit.Open(os.Getenv("SLUICE_AUDIT_LOG"))
	require.NoError(t, err, "SLUICE_AUDIT_LOG names the API server's audit log")
	return &sluiceSide{t: t, w: w, next: 1, steps: map[job.Strategy]map[string][]float64{}, requests: map[job.Strategy][]float64{}, audit: log}
}

func (s *sluiceSide) upgrade(strategy job.Strategy) {
	s.w.Apply(versions[s.next%2])
	s.next++
	require.NoError(s.t, s.audit.Skip())
	request := scenario.Request(job.Upgrade)
	request.Strategy = strategy
	o := s.w.Run(request)
	events, err := s.audit.Next()
	require.NoError(s.t, err)
	events = audit.OfJob(events, "shop", s.w.Name)
	s.requests[strategy] = append(s.requests[strategy], float64(len(events)))
	if strategy == job.Warm {
		s.last = events
		require.LessOrEqual(s.t, len(events), scenario.MaxRequests, "requests of a warm upgrade:\n%s", audit.Table(events))
	}
	if s.steps[strategy] == nil {
		s.steps[strategy] = map[string][]float64{}
	}
	for _, step := range o.Progress.Steps {
		if !slices.Contains(s.names, step.Name) {
			s.names = append(s.names, step.Name)
		}
		s.steps[strategy][step.Name] = append(s.steps[strategy][step.Name], float64(step.DurationMS))
	}
}

type plainSide struct {
	t       *testing.T
	p       *bench.Plain
	w       *scenario.World // for the checker and the revision's body only
	next    int
	timings map[job.Strategy][]bench.Timing
}

func newPlain(t *testing.T) *plainSide {
	cluster, err := kube.New(kube.Options{Kubeconfig: os.Getenv("KUBECONFIG"), UserAgent: "plain-script"})
	require.NoError(t, err)
	w := scenario.Given(t, "shop")
	p := bench.NewPlain(cluster, job.Ref{Tenant: "shop", Name: w.Name}, "shop")
	namenode := os.Getenv("SLUICE_HDFS")
	p.HDFSURI = "hdfs://" + namenode
	p.Platform = manifest.Platform{
		EngineImage: os.Getenv("FLINK_1_20_5_IMAGE"), AgentImage: "unused", PullPolicy: "Never",
		HDFSURI: p.HDFSURI, HDFS: agentapi.HDFS{NameNodes: []string{namenode}, User: "sluice"},
	}
	p.Primer = filepath.Join(os.Getenv("SLUICE_TOP"), "java/primer/target/primer.jar")
	p.Jar = func(spec job.Spec) string { return w.Jar(spec.Artifact) }
	p.Profile = scenario.Small
	side := &plainSide{t: t, p: p, w: w, timings: map[job.Strategy][]bench.Timing{}}
	require.NoError(t, p.Start(t.Context(), side.spec()))
	w.Records(300)
	return side
}

func (s *plainSide) spec() job.Spec {
	v := versions[s.next%2]
	s.next++
	spec := s.w.Spec(v, v.Jar) // its artifact is a file name: nothing is stored
	return spec
}

func (s *plainSide) upgrade(ctx context.Context, strategy job.Strategy) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	timing, err := s.p.Upgrade(ctx, s.spec(), strategy)
	require.NoError(s.t, err)
	s.timings[strategy] = append(s.timings[strategy], timing)
}

func (s *plainSide) column(strategy job.Strategy, i int) []float64 {
	all := make([]float64, 0, len(s.timings[strategy]))
	for _, t := range s.timings[strategy] {
		all = append(all, float64([]int64{t.Prepare, t.Stop, t.Submit}[i]))
	}
	return all
}

func (s *plainSide) green() checker.Report {
	report := s.w.Green("v1", "v2")
	require.True(s.t, report.OK(), strings.Join(report.Problems, "; "))
	return report
}
