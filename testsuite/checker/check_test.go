package checker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sluice/testsuite/checker"
)

const keys = 10

// output is the lines of the numbers from first to last as the job writes them.
func output(first, last int64, version string) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "%d,%d,%d,%s\n", n, n%keys, n/keys+1, version)
	}
	return b.String()
}

// trace is the lines of the numbers from first to last, one a ms from begin on.
func trace(first, last int64, submission string, begin int64) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "%d,%s,%d\n", n, submission, begin+n-first)
	}
	return b.String()
}

// written puts files (path below the directory → content) into a new directory.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	for name, content := range files {
		file := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	}
	return directory
}

func check(t *testing.T, output, trace map[string]string, change func(*checker.Options)) checker.Report {
	t.Helper()
	o := checker.Options{Keys: keys, Output: written(t, output)}
	if trace != nil {
		o.Trace = written(t, trace)
	}
	if change != nil {
		change(&o)
	}
	report, err := checker.Check(context.Background(), checker.Local(), o)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Equal(t, report.OK(), strings.Contains(text.String(), "\nOK "), "the text says the same")
	return report
}

func TestGood(t *testing.T) {
	report := check(t,
		map[string]string{
			"part-a-0.csv":   output(0, 99, "v1"),
			"day/part-b.csv": output(100, 149, "v1"),
			"part-a-1.csv":   output(150, 299, "v2"),
			"part-a-2.csv":   output(300, 309, "v1"),
			"part-empty.csv": "",
		},
		map[string]string{
			"one-0.trace":   trace(0, 149, "aa", 1000),
			"two-0.trace":   trace(145, 250, "bb", 2000),
			"two-1.trace":   trace(251, 299, "bb", 2500),
			"three-0.trace": trace(300, 309, "cc", 2800) + "31",
		},
		nil)
	require.Empty(t, report.Problems)
	require.EqualValues(t, 310, report.Records)
	require.EqualValues(t, 309, report.Highest)
	require.Equal(t, []checker.Version{
		{Version: "v1", Records: 160, Ranges: []checker.Range{{First: 0, Last: 149}, {First: 300, Last: 309}}},
		{Version: "v2", Records: 150, Ranges: []checker.Range{{First: 150, Last: 299}}},
	}, report.Versions)
	require.Equal(t, &checker.Trace{
		Files: 4, Lines: 315, Torn: 1, Replayed: 5,
		LongestPause: checker.Pause{Millis: 2000 - 1149, From: 1149, To: 2000},
		Submissions: []checker.Submission{
			{ID: "aa", Lines: 150, Lowest: 0, Highest: 149, Begin: 1000, End: 1149},
			{ID: "bb", Lines: 155, Lowest: 145, Highest: 299, Begin: 2000, End: 2548,
				LongestPause: checker.Pause{Millis: 2500 - 2105, From: 2105, To: 2500}},
			{ID: "cc", Lines: 10, Lowest: 300, Highest: 309, Begin: 2800, End: 2809},
		},
		HandOvers: []checker.HandOver{
			{From: "aa", To: "bb", PauseMillis: 2000 - 1149, Replayed: 5},
			{From: "bb", To: "cc", PauseMillis: 2800 - 2548, Replayed: 0},
		},
	}, report.Trace)
}

func TestPausesOfWindows(t *testing.T) {
	report := check(t, map[string]string{"a": output(0, 29, "v1")},
		map[string]string{"a": trace(0, 9, "aa", 1000) + trace(10, 19, "aa", 1500) + trace(20, 29, "aa", 1600)},
		func(o *checker.Options) {
			o.Windows = []checker.Range{{First: 900, Last: 1008}, {First: 1000, Last: 1100}, {First: 1490, Last: 1510}, {First: 1550, Last: 1560}}
		})
	require.Equal(t, []checker.Pause{
		{}, // nothing paused before 1009
		{Millis: 1500 - 1009, From: 1009, To: 1500}, // it ends behind its window
		{Millis: 1500 - 1009, From: 1009, To: 1500}, // the longer of two
		{Millis: 1600 - 1509, From: 1509, To: 1600},
	}, report.Trace.Pauses)
}

func TestBad(t *testing.T) {
	good := output(0, 99, "v1")
	for name, c := range map[string]struct {
		output, trace map[string]string
		change        func(*checker.Options)
		problem       string
	}{
		"gap": {
			output:  map[string]string{"a": output(0, 49, "v1"), "b": output(52, 99, "v2")},
			problem: "2 numbers missing, in 1 gaps: 50–51",
		},
		"gap at the start": {
			output:  map[string]string{"a": output(1, 99, "v1")},
			problem: "1 numbers missing, in 1 gaps: 0",
		},
		"double": {
			output:  map[string]string{"a": good, "b": output(7, 7, "v2")},
			problem: "1 lines repeat a number: 7 (again by v2 in",
		},
		"double within a version": {
			output:  map[string]string{"a": good + output(99, 99, "v1")},
			problem: "1 lines repeat a number: 99 (again by v1 in",
		},
		"wrong count": {
			output:  map[string]string{"a": output(0, 98, "v1") + "99,9,1,v2\n"},
			problem: "1 records were not counted from the right state: number 99 has key 9 count 1, not key 9 count 10 (v2 in",
		},
		"wrong key": {
			output:  map[string]string{"a": output(0, 98, "v1") + "99,8,10,v1\n"},
			problem: "not key 9 count 10",
		},
		"unfinished file": {
			output:  map[string]string{"a": good, ".part-0.csv.inprogress.8f1e": "100,"},
			problem: "1 output files are unfinished:",
		},
		"unfinished file holds what is missing": {
			output:  map[string]string{"a": output(0, 49, "v1"), "b": output(60, 99, "v1"), ".part-0.inprogress.1": output(50, 59, "v1")},
			change:  func(o *checker.Options) { o.AllowUnfinished = true },
			problem: "10 numbers missing",
		},
		"restart from 0": {
			output:  map[string]string{"a": good, "b": output(0, 49, "v2")},
			problem: "50 lines repeat a number: 0 (again by v2",
		},
		"state lost, source kept": {
			output:  map[string]string{"a": good, "b": "100,0,1,v2\n101,1,1,v2\n"},
			problem: "2 records were not counted from the right state",
		},
		"empty directory":      {output: map[string]string{}, problem: "0 records, at least 1 expected: nothing is proven"},
		"nothing but an empty": {output: map[string]string{"a": ""}, problem: "nothing is proven"},
		"too few": {
			output:  map[string]string{"a": good},
			change:  func(o *checker.Options) { o.MinRecords = 101 },
			problem: "100 records, at least 101 expected",
		},
		"end missing": {
			output:  map[string]string{"a": good},
			change:  func(o *checker.Options) { o.Records = 150 },
			problem: "100 different numbers, exactly 150 expected",
		},
		"torn line":      {output: map[string]string{"a": good + "100,0,1"}, problem: `ends in half a line, "100,0,1"`},
		"torn number":    {output: map[string]string{"a": good, "b": "10"}, problem: `ends in half a line, "10"`},
		"zero bytes":     {output: map[string]string{"a": good + "\x00\x00\x00\n"}, problem: "1 lines can't be read"},
		"negative":       {output: map[string]string{"a": good + "-1,0,1,v1\n"}, problem: "1 lines can't be read"},
		"no version":     {output: map[string]string{"a": good + "100,0,11,\n"}, problem: "1 lines can't be read"},
		"absurd number":  {output: map[string]string{"a": good + "900000000000000000,0,1,v1\n"}, problem: "899999999999999900 numbers missing"},
		"overlong line":  {output: map[string]string{"a": good + strings.Repeat("x", 3<<20)}, problem: "lines can't be read"},
		"huge line":      {output: map[string]string{"a": good + strings.Repeat("1", 3<<20) + "\n"}, problem: "lines can't be read"},
		"trace is empty": {output: map[string]string{"a": good}, trace: map[string]string{}, problem: "the trace is empty"},
		"end never published": {
			output:  map[string]string{"a": good},
			trace:   map[string]string{"t": trace(0, 119, "aa", 1000)},
			problem: "20 numbers were processed, and never published",
		},
		"two copies": {
			output:  map[string]string{"a": good},
			trace:   map[string]string{"t": trace(0, 59, "aa", 1000), "u": trace(60, 99, "bb", 1050)},
			problem: "two submissions wrote at the same time, for 9 ms: aa until 1970-01-01T00:00:01.059Z, bb from 1970-01-01T00:00:01.050Z",
		},
		"two copies, one after the next ended": {
			output: map[string]string{"a": good},
			trace: map[string]string{
				"t": trace(0, 9, "aa", 1000) + trace(30, 99, "aa", 3000), "u": trace(10, 19, "bb", 1500), "v": trace(20, 29, "cc", 2000)},
			problem: "aa until 1970-01-01T00:00:03.069Z, cc from 1970-01-01T00:00:02.000Z",
		},
		"pause": {
			output:  map[string]string{"a": good},
			trace:   map[string]string{"t": trace(0, 59, "aa", 1000), "u": trace(60, 99, "bb", 5059)},
			change:  func(o *checker.Options) { o.MaxPause = 3 * time.Second },
			problem: "no record for 4000 ms from 1970-01-01T00:00:01.059Z, at most 3000 ms allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			report := check(t, c.output, c.trace, c.change)
			require.False(t, report.OK())
			require.Contains(t, strings.Join(report.Problems, "\n"), c.problem)
		})
	}
}

func TestAllowed(t *testing.T) {
	good := map[string]string{"a": output(0, 99, "v1"), ".part-1.inprogress.x": "100,0"}
	report := check(t, good, map[string]string{"t": trace(0, 109, "aa", 1000), "u": trace(95, 105, "bb", 1105)}, func(o *checker.Options) {
		o.AllowUnfinished, o.AllowUnpublished, o.MaxOverlap, o.Records = true, true, 5*time.Millisecond, 100
	})
	require.Empty(t, report.Problems)
	require.Equal(t, 1, report.Unfinished)
	require.EqualValues(t, 10, report.Trace.Unpublished)
}

func TestProblemsNameOnlyTheFirstFew(t *testing.T) {
	report := check(t, map[string]string{"a": output(0, 999, "v1"), "b": output(0, 999, "v2")}, nil, nil)
	require.Len(t, report.Problems, 1)
	require.Less(t, len(report.Problems[0]), 1000)
	require.Contains(t, report.Problems[0], "1000 lines repeat a number: ")
}

func TestMissingDirectoryIsAProblem(t *testing.T) {
	report, err := checker.Check(context.Background(), checker.Local(), checker.Options{Output: t.TempDir() + "/none"})
	require.NoError(t, err)
	require.False(t, report.OK())
}

// broken fails where it is told to.
type broken struct {
	checker.Files
	read error
}

func (b broken) Open(name string) (io.ReadCloser, error) {
	f, err := b.Files.Open(name)
	if err != nil || !strings.HasSuffix(name, "broken") {
		return f, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(f, failing{b.read}), f}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestCouldNotLook(t *testing.T) {
	out := written(t, map[string]string{"a": output(0, 99, "v1"), "broken": output(100, 109, "v1")})
	tr := written(t, map[string]string{"broken": trace(0, 99, "aa", 1000) + trace(100, 109, "aa", 1100)})
	whole := written(t, map[string]string{"a": output(0, 109, "v1")})
	ctx := context.Background()

	_, err := checker.Check(ctx, broken{checker.Local(), io.ErrUnexpectedEOF}, checker.Options{Output: out})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = checker.Check(ctx, broken{checker.Local(), checker.ErrUnreadableTail}, checker.Options{Output: out})
	require.ErrorIs(t, err, checker.ErrUnreadableTail, "finished output is never open")
	_, err = checker.Check(ctx, broken{checker.Local(), io.ErrUnexpectedEOF}, checker.Options{Output: whole, Trace: tr, Keys: keys})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = checker.Check(ctx, denied{}, checker.Options{Output: out})
	require.ErrorIs(t, err, fs.ErrPermission)

	report, err := checker.Check(ctx, broken{checker.Local(), checker.ErrUnreadableTail}, checker.Options{Output: whole, Trace: tr, Keys: keys})
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.Equal(t, 1, report.Trace.Torn)

	ended, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("enough"))
	_, err = checker.Check(ended, checker.Local(), checker.Options{Output: out})
	require.ErrorIs(t, err, context.Canceled)
}

type denied struct{ checker.Files }

func (denied) ReadDir(string) ([]fs.FileInfo, error) { return nil, fs.ErrPermission }

func BenchmarkCheck(b *testing.B) {
	out, tr := b.TempDir(), b.TempDir()
	const records = 2_000_000
	require.NoError(b, os.WriteFile(out+"/a", []byte(output(0, records-1, "v1")), 0o644))
	require.NoError(b, os.WriteFile(tr+"/a", []byte(trace(0, records-1, strings.Repeat("a", 32), 1_700_000_000_000)), 0o644))
	b.ReportAllocs()
	for b.Loop() {
		report, err := checker.Check(context.Background(), checker.Local(), checker.Options{Output: out, Trace: tr, Keys: keys})
		require.NoError(b, err)
		require.True(b, report.OK())
	}
}

func TestRepeatedAsAsked(t *testing.T) {
	asked := func(version string) func(*checker.Options) {
		return func(o *checker.Options) { o.RepeatedBy = version }
	}
	files := func() map[string]string {
		return map[string]string{"1.csv": output(0, 99, "v1"), "2.csv": output(100, 129, "v2"), "3.csv": output(140, 149, "v2"), "4.csv": output(100, 199, "v1")}
	}
	report := check(t, files(), nil, asked("v2"))
	require.True(t, report.OK(), report.Problems)
	require.EqualValues(t, 40, report.Repeated)
	for name, c := range map[string]struct {
		asked   string
		more    string
		problem string
	}{
		"none was asked":     {"", "", "40 lines repeat a number"},
		"by another":         {"v1", "", "40 numbers are there twice, the 200 that v1 wrote were to be"},
		"by nobody there":    {"v9", "", "40 lines repeat a number"},
		"three times":        {"v2", output(120, 120, "v1"), "1 lines repeat a number: 120 (again by v1"},
		"another one too":    {"v2", output(130, 130, "v1"), "1 lines repeat a number: 130 (not by v2)"},
		"some but not twice": {"v2", output(200, 209, "v2"), "40 numbers are there twice, the 50 that v2 wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			files := files()
			files["5.csv"] = c.more
			report := check(t, files, nil, asked(c.asked))
			require.Contains(t, strings.Join(report.Problems, "\n"), c.problem)
		})
	}
}
