//go:build bench

package bench_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

var versions = []scenario.Version{scenario.V1, scenario.V2}

// side is what both sides keep.
type side struct {
	t     *testing.T
	w     *scenario.World
	next  int                            // of versions
	whole map[job.Strategy]bench.Figures // ms of each change
	told  []checker.Range                // from when Flink was told to rescale until that was over
}

func newSide(t *testing.T) side {
	return side{t: t, w: scenario.Given(t, "shop"), whole: map[job.Strategy]bench.Figures{}}
}

func (s *side) version() scenario.Version {
	v := versions[s.next%2]
	s.next++
	return v
}

func (s *side) took(strategy job.Strategy, d time.Duration) {
	s.whole[strategy] = append(s.whole[strategy], float64(d.Milliseconds()))
}

func (s *side) rescaled(from time.Time) {
	s.told = append(s.told, checker.Range{First: from.UnixMilli(), Last: time.Now().UnixMilli()})
}

// judged is the checker's report of the stopped job: every number exactly once,
// and a pause for each change.
func (s *side) judged(pairs int) checker.Report {
	report, err := checker.Check(s.t.Context(), checker.HDFS(s.w.HDFS), checker.Options{
		Output: s.w.Output(), Trace: s.w.Trace(), MinRecords: 100, Windows: s.told,
		AllowUnfinished: true, // tasks that were rescaled leave such files
	})
	require.NoError(s.t, err)
	require.True(s.t, report.OK(), report.Problems)
	require.Len(s.t, report.Trace.HandOvers, 2*pairs)
	require.Len(s.t, report.Trace.Pauses, pairs)
	return report
}

type sluiceSide struct {
	side
	names    []string // of steps, in their order
	steps    map[job.Strategy]map[string]bench.Figures
	requests map[job.Strategy]bench.Figures
	audit    *audit.Log
	last     []audit.Event // of the newest warm upgrade
}

func newSluice(t *testing.T) *sluiceSide {
	s := &sluiceSide{side: newSide(t), steps: map[job.Strategy]map[string]bench.Figures{}, requests: map[job.Strategy]bench.Figures{}}
	for _, strategy := range round {
		s.steps[strategy] = map[string]bench.Figures{}
	}
	s.w.Apply(s.version())
	s.w.Profile(scenario.Wide)
	s.w.Run(scenario.Request(job.Start))
	s.w.Records(300)
	var err error
	s.audit, err = audit.Open(os.Getenv("SLUICE_AUDIT_LOG"))
	require.NoError(t, err, "SLUICE_AUDIT_LOG names the API server's audit log")
	return s
}

func (s *sluiceSide) request(strategy job.Strategy) job.Request {
	if strategy == job.InPlace {
		request := scenario.Request(job.Rescale)
		request.Strategy, request.Profile = job.InPlace, scenario.Wide.Name
		return request
	}
	s.w.Apply(s.version())
	request := scenario.Request(job.Upgrade)
	request.Strategy, request.Profile = strategy, scenario.Small.Name
	return request
}

func (s *sluiceSide) change(strategy job.Strategy) {
	request := s.request(strategy)
	require.NoError(s.t, s.audit.ToEnd())
	began := time.Now()
	o := s.w.Run(request)
	s.took(strategy, time.Since(began)-time.Duration(request.Soak())*time.Second)
	events, err := s.audit.Next()
	require.NoError(s.t, err)
	events = audit.OfJob(events, s.w.Tenant, s.w.Name)
	s.requests[strategy] = append(s.requests[strategy], float64(len(events)))
	switch strategy {
	case job.Warm:
		s.last = events
	case job.InPlace:
		s.rescaled(begin(s.t, o, "rescale"))
	default:
	}
	for _, step := range o.Progress.Steps {
		if !slices.Contains(s.names, step.Name) {
			s.names = append(s.names, step.Name)
		}
		s.steps[strategy][step.Name] = append(s.steps[strategy][step.Name], float64(step.DurationMS))
	}
}

// begin is when a step began, which is before its first call.
func begin(t *testing.T, o scenario.Operation, name string) time.Time {
	t.Helper()
	for _, step := range o.Progress.Steps {
		if step.Name == name {
			at, err := time.Parse(time.RFC3339, step.StartedAt)
			require.NoError(t, err)
			return at
		}
	}
	require.Fail(t, "no such step", "%s in %+v", name, o.Progress.Steps)
	return time.Time{}
}

func (s *sluiceSide) printSteps(strategy job.Strategy) {
	for _, name := range s.names {
		row("  "+name, s.steps[strategy][name])
	}
}

type plainSide struct {
	side    // its world is for the checker and the revision's body only
	p       *bench.Plain
	timings map[job.Strategy][]bench.Timing
}

func newPlain(t *testing.T) *plainSide {
	s := &plainSide{side: newSide(t), timings: map[job.Strategy][]bench.Timing{}}
	cluster, err := kube.New(kube.Options{Kubeconfig: os.Getenv("KUBECONFIG"), UserAgent: "plain-script"})
	require.NoError(t, err)
	s.p = bench.NewPlain(cluster, job.Ref{Tenant: s.w.Tenant, Name: s.w.Name}, s.w.Tenant)
	namenode := os.Getenv("SLUICE_HDFS")
	s.p.HDFSURI = "hdfs://" + namenode
	s.p.Platform = manifest.Platform{
		EngineImage: os.Getenv("FLINK_1_20_5_IMAGE"), AgentImage: "unused", PullPolicy: "Never",
		HDFSURI: s.p.HDFSURI, HDFS: agentapi.HDFS{NameNodes: []string{namenode}, User: "sluice"},
	}
	s.p.Primer = filepath.Join(os.Getenv("SLUICE_TOP"), "java/primer/target/primer.jar")
	s.p.Jar = func(spec job.Spec) string { return s.w.Jar(spec.Artifact) }
	s.p.Profile = scenario.Small
	require.NoError(t, s.p.Start(t.Context(), s.spec()))
	s.w.Records(300)
	return s
}

func (s *plainSide) spec() job.Spec {
	v := s.version()
	return s.w.Spec(v, v.Jar) // its artifact is a file name: nothing is stored
}

func (s *plainSide) change(strategy job.Strategy) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	if strategy == job.InPlace {
		told, err := s.p.Rescale(ctx, scenario.Wide)
		require.NoError(s.t, err)
		s.rescaled(told)
	} else {
		timing, err := s.p.Upgrade(ctx, s.spec(), strategy)
		require.NoError(s.t, err)
		s.timings[strategy] = append(s.timings[strategy], timing)
	}
	s.took(strategy, time.Since(began))
}

func (s *plainSide) printSteps(strategy job.Strategy) {
	var prepare, stop, submit bench.Figures
	for _, t := range s.timings[strategy] {
		prepare, stop, submit = append(prepare, float64(t.Prepare)), append(stop, float64(t.Stop)), append(submit, float64(t.Submit))
	}
	if len(prepare) > 0 {
		fmt.Printf("  the plain script's: prepare %.0f, stop %.0f, submit → RUNNING %.0f\n", prepare.Median(), stop.Median(), submit.Median())
	}
}
