package checker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// trace is what has been read of the trace. Times are sets of ms: the longest gap of a set needs no sorting of lines,
// and an hour takes 450 KB.
type trace struct {
	published   *set
	numbers     set
	times       set
	lines       int64
	unpublished int64
	files       int
	torn        int
	submissions map[string]*submission
}

type submission struct {
	numbers set
	times   set
	lines   int64
}

func (tr *trace) read(ctx context.Context, files Files, directory string) error {
	return walk(ctx, files, directory, func(file string) error {
		tr.files++
		torn := false
		err := lines(ctx, files, file, func(line []byte, cut bool) {
			torn = torn || cut || !tr.line(line)
		})
		if err != nil && (ctx.Err() != nil || !errors.Is(err, ErrUnreadableTail)) {
			return err
		}
		if torn || err != nil {
			tr.torn++
		}
		return nil
	})
}

// line takes in `number,submission,millis`; false: it is none.
func (tr *trace) line(line []byte) bool {
	number, rest, ok := bytes.Cut(line, []byte{','})
	id, millis, ok2 := bytes.Cut(rest, []byte{','})
	n, ok3 := parseNumber(number)
	ms, ok4 := parseNumber(millis)
	if !ok || !ok2 || !ok3 || !ok4 || len(id) == 0 {
		return false
	}
	s := tr.submissions[string(id)]
	if s == nil {
		s = &submission{}
		tr.submissions[string(id)] = s
	}
	s.lines++
	s.numbers.add(n)
	s.times.add(ms)
	tr.lines++
	if tr.numbers.add(n) && !tr.published.has(n) {
		tr.unpublished++
	}
	tr.times.add(ms)
	return true
}

func (tr *trace) addTo(r *Report, o Options) {
	t := &Trace{
		Files: tr.files, Lines: tr.lines, Torn: tr.torn, Replayed: tr.lines - tr.numbers.size,
		Unpublished: tr.unpublished, Untraced: tr.published.size - (tr.numbers.size - tr.unpublished), LongestPause: longestPause(&tr.times, nil),
	}
	r.Trace = t
	for i := range o.Windows {
		t.Pauses = append(t.Pauses, longestPause(&tr.times, &o.Windows[i]))
	}
	for id, s := range tr.submissions {
		t.Submissions = append(t.Submissions, s.describe(id))
	}
	slices.SortFunc(t.Submissions, func(a, b Submission) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), strings.Compare(a.ID, b.ID))
	})
	for i := 1; i < len(t.Submissions); i++ {
		before, after := latest(t.Submissions[:i]), t.Submissions[i]
		h := HandOver{From: before.ID, To: after.ID, PauseMillis: after.Begin - before.End, Replayed: before.Highest - after.Lowest + 1}
		t.HandOvers = append(t.HandOvers, h)
		if -h.PauseMillis > o.MaxOverlap.Milliseconds() {
			r.Problems = append(r.Problems, fmt.Sprintf("two submissions wrote at the same time, for %d ms: %s until %s, %s from %s",
				-h.PauseMillis, h.From, clock(before.End), h.To, clock(after.Begin)))
		}
	}
	if t.Unpublished > 0 && !o.AllowUnpublished {
		r.Problems = append(r.Problems, fmt.Sprintf("%d numbers were processed, and never published", t.Unpublished))
	}
	if tr.lines == 0 {
		r.Problems = append(r.Problems, "the trace is empty: nothing is known of pauses")
	}
	if p := t.LongestPause; o.MaxPause > 0 && p.Millis > o.MaxPause.Milliseconds() {
		r.Problems = append(r.Problems, fmt.Sprintf("no record for %d ms from %s, at most %d ms allowed", p.Millis, clock(p.From), o.MaxPause.Milliseconds()))
	}
}

// latest is the submission that wrote last: one may outlast several that began after it.
func latest(all []Submission) Submission {
	return slices.MaxFunc(all, func(a, b Submission) int { return cmp.Compare(a.End, b.End) })
}

func (s *submission) describe(id string) Submission {
	d := Submission{ID: id, Lines: s.lines, LongestPause: longestPause(&s.times, nil)}
	d.Lowest, d.Highest = s.numbers.ends()
	d.Begin, d.End = s.times.ends()
	return d
}

// longestPause is the longest that overlaps a window; nil: of all.
func longestPause(times *set, window *Range) Pause {
	var longest Pause
	first, _ := times.ends()
	times.gaps(first, func(gap span) bool {
		p := Pause{Millis: gap.Last - gap.First + 2, From: gap.First - 1, To: gap.Last + 1}
		if p.Millis > longest.Millis && (window == nil || p.To > window.First && p.From < window.Last) {
			longest = p
		}
		return true
	})
	return longest
}
