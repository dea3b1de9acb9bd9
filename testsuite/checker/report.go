package checker

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// firstFew is how many examples of a kind of problem a report names.
const firstFew = 5

// Report is what was found. Numbers are the job's, times are the wall clock of the machine that wrote the line, in ms.
type Report struct {
	Problems []string `json:"problems"`
	// Records is how many lines the finished output files hold, doubles included.
	Records int64 `json:"records"`
	// Highest is the highest number seen, -1 when there is none.
	Highest int64 `json:"highest"`
	Files   int   `json:"files"`
	// Unfinished is how many output files no checkpoint published.
	Unfinished  int       `json:"unfinished"`
	Repeated    int64     `json:"repeated"` // as was asked
	Missing     int64     `json:"missing"`
	Doubled     int64     `json:"doubled"`
	WrongCounts int64     `json:"wrongCounts"`
	Malformed   int64     `json:"malformed"`
	Versions    []Version `json:"versions"`
	Trace       *Trace    `json:"trace,omitempty"`
}

// Version is one program version that wrote output. Ranges are the neighbouring numbers that it wrote, lowest first:
// one range a time that it ran, whatever happened in between.
type Version struct {
	Version string  `json:"version"`
	Records int64   `json:"records"`
	Ranges  []Range `json:"ranges"`
	// MoreRanges is how many are not listed. Many ranges mean that two versions wrote side by side.
	MoreRanges int `json:"moreRanges,omitempty"`
}

// Range is the numbers from First to Last, both included.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Trace is what the trace shows. Repeated records in it are no problem: a restore repeats what was not committed.
type Trace struct {
	Files int   `json:"files"`
	Lines int64 `json:"lines"`
	// Torn is how many files end in half a line or can't be read to their end: their writer was killed.
	Torn int `json:"torn"`
	// Replayed is how many lines repeat a number.
	Replayed int64 `json:"replayed"`
	// Unpublished is how many numbers of the trace are not in the output: processed, never committed, not replayed.
	Unpublished int64 `json:"unpublished"`
	// Untraced is how many numbers of the output are not in the trace. Above 0 a killed writer's file is missing, and
	// pauses look longer than they were.
	Untraced     int64        `json:"untraced"`
	LongestPause Pause        `json:"longestPause"`
	Submissions  []Submission `json:"submissions"`
	HandOvers    []HandOver   `json:"handOvers"`
	// Pauses are the longest that overlap each of Options.Windows; 0 ms where none does.
	Pauses []Pause `json:"pauses,omitempty"`
}

// Submission is one Flink job id, by the time of its first record.
type Submission struct {
	ID      string `json:"id"`
	Lines   int64  `json:"lines"`
	Lowest  int64  `json:"lowest"`
	Highest int64  `json:"highest"`
	Begin   int64  `json:"begin"`
	End     int64  `json:"end"`
	// LongestPause is the longest within this submission.
	LongestPause Pause `json:"longestPause"`
}

// Pause is a time without a record: from the ms of one to the ms of the next.
type Pause struct {
	Millis int64 `json:"millis"`
	From   int64 `json:"from"`
	To     int64 `json:"to"`
}

// HandOver is the change from one submission to the next. PauseMillis is negative when both wrote at the same time.
type HandOver struct {
	From        string `json:"from"`
	To          string `json:"to"`
	PauseMillis int64  `json:"pauseMillis"`
	// Replayed is how many numbers at the old one's end the new one processed again; negative: so many were skipped.
	Replayed int64 `json:"replayed"`
}

// OK says that the output was read, holds enough, and nothing is wrong with it.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// WriteText writes the report for people, problems last, where they are seen.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "records   %d in %d files, highest number %d, unfinished files %d\n", r.Records, r.Files, r.Highest, r.Unfinished)
	for _, v := range r.Versions {
		fmt.Fprintf(&b, "version   %s: %d records, %s\n", v.Version, v.Records, v.ranges())
	}
	if r.Trace != nil {
		r.Trace.writeText(&b)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "PROBLEM   %s\n", p)
	}
	switch {
	case r.OK() && r.Repeated > 0:
		fmt.Fprintf(&b, "OK        every number exactly once, but for the %d that were to be repeated; every count right\n", r.Repeated)
	case r.OK():
		b.WriteString("OK        every number exactly once, every count right\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (v Version) ranges() string {
	parts := make([]string, 0, len(v.Ranges)+1)
	for _, r := range v.Ranges {
		parts = append(parts, fmt.Sprintf("%d–%d", r.First, r.Last))
	}
	if v.MoreRanges > 0 {
		parts = append(parts, fmt.Sprintf("and %d more ranges", v.MoreRanges))
	}
	return strings.Join(parts, ", ")
}

func (t Trace) writeText(b *strings.Builder) {
	fmt.Fprintf(b, "trace     %d lines in %d files (%d torn), %d replayed, %d never published, %d untraced\n",
		t.Lines, t.Files, t.Torn, t.Replayed, t.Unpublished, t.Untraced)
	for _, s := range t.Submissions {
		fmt.Fprintf(b, "submitted %s: %d lines, numbers %d–%d, from %s for %d ms, longest pause %d ms\n",
			s.ID, s.Lines, s.Lowest, s.Highest, clock(s.Begin), s.End-s.Begin, s.LongestPause.Millis)
	}
	for _, h := range t.HandOvers {
		fmt.Fprintf(b, "hand-over %s → %s: %d ms without a record, %d numbers again\n", h.From, h.To, h.PauseMillis, h.Replayed)
	}
	fmt.Fprintf(b, "pause     longest %d ms, from %s\n", t.LongestPause.Millis, clock(t.LongestPause.From))
}

func clock(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}
