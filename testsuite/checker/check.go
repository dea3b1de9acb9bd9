package checker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxRanges is how many ranges of a version a report lists.
const maxRanges = 100

// Check reads everything and judges it. The error says that it could not look (HDFS unreachable,
// ctx ended); what it saw and did not like is in Report.Problems. A directory that isn't there is a problem and no error:
// a job that never published anything has none.
func Check(ctx context.Context, files Files, o Options) (Report, error) {
	o = o.withDefaults()
	out := output{keys: o.Keys, mayRepeat: o.RepeatedBy != "", versions: map[string]*set{}}
	if err := out.read(ctx, files, o.Output); err != nil {
		return Report{}, fmt.Errorf("read output %s: %w", o.Output, err)
	}
	report := out.report(o)
	if o.Trace == "" {
		return report, nil
	}
	tr := trace{published: &out.numbers, submissions: map[string]*submission{}}
	if err := tr.read(ctx, files, o.Trace); err != nil {
		return Report{}, fmt.Errorf("read trace %s: %w", o.Trace, err)
	}
	tr.addTo(&report, o)
	return report, nil
}

// output is what has been read of the exactly-once output.
type output struct {
	keys       int64
	numbers    set
	mayRepeat  bool
	again      set // that are there twice, where some may
	versions   map[string]*set
	records    int64
	files      int
	unfinished examples
	doubled    examples
	wrong      examples
	malformed  examples
}

// examples counts a kind of finding and keeps the first few.
type examples struct {
	count int64
	first []string
}

func (e *examples) add(format string, args ...any) {
	e.count++
	if len(e.first) < firstFew {
		e.first = append(e.first, fmt.Sprintf(format, args...))
	}
}

func (e *examples) problem(what string) string {
	text := fmt.Sprintf("%d %s: %s", e.count, what, strings.Join(e.first, "; "))
	if e.count > int64(len(e.first)) {
		text += "; …"
	}
	return text
}

func (out *output) read(ctx context.Context, files Files, directory string) error {
	return walk(ctx, files, directory, func(file string) error {
		// Flink's names of a part that no checkpoint published yet: `.part-…inprogress.…`, and `_tmp` of older ones.
		if name := path.Base(file); strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || strings.Contains(name, ".inprogress") {
			out.unfinished.add("%s", file)
			return nil
		}
		out.files++
		return lines(ctx, files, file, func(line []byte, torn bool) {
			if torn {
				out.malformed.add("%s ends in half a line, %q", file, line)
				return
			}
			out.line(file, line)
		})
	})
}

func (out *output) line(file string, line []byte) {
	number, key, count, version, ok := parseOutput(line)
	if !ok {
		out.malformed.add("%s: %q", file, line)
		return
	}
	out.records++
	by := out.versions[string(version)]
	if by == nil {
		by = &set{}
		out.versions[string(version)] = by
	}
	by.add(number)
	if !out.numbers.add(number) && (!out.mayRepeat || !out.again.add(number)) {
		out.doubled.add("%d (again by %s in %s)", number, version, file)
	}
	if key != number%out.keys || count != number/out.keys+1 {
		out.wrong.add("number %d has key %d count %d, not key %d count %d (%s in %s)",
			number, key, count, number%out.keys, number/out.keys+1, version, file)
	}
}

// repeated is how many numbers were to be there twice: those of the version. The
// others that are become findings.
func (out *output) repeated(version string) int64 {
	if !out.mayRepeat {
		return 0
	}
	theirs := out.versions[version]
	if theirs == nil {
		theirs = &set{}
	}
	out.again.spans(func(in span) bool {
		for n := in.First; n <= in.Last; n++ {
			if !theirs.has(n) {
				out.doubled.add("%d (not by %s)", n, version)
			}
		}
		return true
	})
	return theirs.size
}

func (out *output) report(o Options) Report {
	r := Report{
		Problems: []string{}, Records: out.records, Files: out.files, Unfinished: int(out.unfinished.count),
		Repeated: out.again.size, WrongCounts: out.wrong.count, Malformed: out.malformed.count,
	}
	asked := out.repeated(o.RepeatedBy)
	r.Doubled = out.doubled.count
	_, r.Highest = out.numbers.ends()
	var missing examples
	out.numbers.gaps(0, func(gap span) bool {
		r.Missing += gap.Last - gap.First + 1
		missing.add("%s", gap)
		return true
	})
	problem := func(when bool, text string, args ...any) {
		if when {
			r.Problems = append(r.Problems, fmt.Sprintf(text, args...))
		}
	}
	problem(out.records < o.MinRecords, "%d records, at least %d expected: nothing is proven", out.records, o.MinRecords)
	problem(o.Records > 0 && out.numbers.size != o.Records, "%d different numbers, exactly %d expected", out.numbers.size, o.Records)
	problem(out.again.size != asked, "%d numbers are there twice, the %d that %s wrote were to be", out.again.size, asked, o.RepeatedBy)
	problem(r.Missing > 0, "%d numbers missing, in %s", r.Missing, missing.problem("gaps"))
	problem(r.Doubled > 0, "%s", out.doubled.problem("lines repeat a number"))
	problem(r.WrongCounts > 0, "%s", out.wrong.problem("records were not counted from the right state"))
	problem(r.Malformed > 0, "%s", out.malformed.problem("lines can't be read"))
	problem(r.Unfinished > 0 && !o.AllowUnfinished, "%s", out.unfinished.problem("output files are unfinished"))
	for version, numbers := range out.versions {
		r.Versions = append(r.Versions, describe(version, numbers))
	}
	slices.SortFunc(r.Versions, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Ranges[0].First, b.Ranges[0].First), strings.Compare(a.Version, b.Version))
	})
	return r
}

func (s span) String() string { return Range(s).String() }

// String is "7" or "7–9".
func (r Range) String() string {
	if r.First == r.Last {
		return strconv.FormatInt(r.First, 10)
	}
	return fmt.Sprintf("%d–%d", r.First, r.Last)
}

func describe(version string, numbers *set) Version {
	v := Version{Version: version, Records: numbers.size}
	numbers.spans(func(s span) bool {
		if len(v.Ranges) < maxRanges {
			v.Ranges = append(v.Ranges, Range(s))
		} else {
			v.MoreRanges++
		}
		return true
	})
	return v
}

// parseOutput takes `number,key,count,version` apart.
func parseOutput(line []byte) (number, key, count int64, version []byte, ok bool) {
	fields := [3]*int64{&number, &key, &count}
	rest := line
	for _, value := range fields {
		var field []byte
		if field, rest, ok = bytes.Cut(rest, []byte{','}); !ok {
			return 0, 0, 0, nil, false
		}
		if *value, ok = parseNumber(field); !ok {
			return 0, 0, 0, nil, false
		}
	}
	return number, key, count, rest, len(rest) > 0 && !bytes.ContainsRune(rest, ',')
}

// parseNumber is strict: digits only, no sign, no space. Zero-filled blocks of a broken disk must not pass as numbers.
func parseNumber(field []byte) (int64, bool) {
	if len(field) == 0 || len(field) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range field {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// walk calls visit with every file below directory, in the order of their names. A root that isn't there holds none.
func walk(ctx context.Context, files Files, root string, visit func(file string) error) error {
	infos, err := files.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return descend(ctx, files, root, infos, visit)
}

func descend(ctx context.Context, files Files, directory string, infos []fs.FileInfo, visit func(file string) error) error {
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(directory, info.Name())
		if !info.IsDir() {
			if err := visit(name); err != nil {
				return err
			}
			continue
		}
		below, err := files.ReadDir(name)
		if err != nil {
			return err
		}
		if err := descend(ctx, files, name, below, visit); err != nil {
			return err
		}
	}
	return nil
}

// lines calls visit with each line of a file, without its end; torn: the file ended before the line did.
func lines(ctx context.Context, files Files, file string, visit func(line []byte, torn bool)) (err error) {
	f, err := files.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// A line is below 100 bytes: one that doesn't fit is no line, and is torn apart here rather than kept in memory.
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 0; ; n++ {
		if n%(1<<16) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		line, err := r.ReadSlice('\n')
		switch {
		case err == nil:
			visit(line[:len(line)-1], false)
		case errors.Is(err, bufio.ErrBufferFull):
			visit(line[:100], true)
		case errors.Is(err, io.EOF):
			if len(line) > 0 {
				visit(line, true)
			}
			return nil
		default:
			return fmt.Errorf("%s: %w", file, err)
		}
	}
}
