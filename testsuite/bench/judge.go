package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Figures are the values of one measure, one a pair.
type Figures []float64

// Median of the figures; 0 of none.
func (f Figures) Median() float64 { return f.Quantile(0.5) }

// Quantile lies between two neighbours where it has to; 0 of no figures.
func (f Figures) Quantile(q float64) float64 {
	if len(f) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f))
	position := q * float64(len(sorted)-1)
	low := int(position)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(position-float64(low))
}

// Measure is what was measured, with what it may come to.
type Measure struct {
	Name   string
	Sluice Figures
	Floor  Figures // the plain script's; nil: it has none
	// MostRatio is how often the floor's median Sluice's may be; 0: no target.
	MostRatio float64
	// Most is what none of Sluice's figures may be above; 0: no target.
	Most float64
}

// Verdict is a measure, judged.
type Verdict struct {
	Name   string  `json:"name"`
	Sluice float64 `json:"sluice"`          // median
	Max    float64 `json:"max"`             // of Sluice's
	Floor  float64 `json:"floor,omitempty"` // median
	Ratio  float64 `json:"ratio,omitempty"` // of the medians
	Target string  `json:"target,omitempty"`
	OK     bool    `json:"ok"`
}

// Judge holds a measure against its target. What was not measured is not OK.
func Judge(m Measure) Verdict {
	v := Verdict{Name: m.Name, Sluice: m.Sluice.Median(), Max: m.Sluice.Quantile(1), Floor: m.Floor.Median(), OK: len(m.Sluice) > 0}
	if v.Floor > 0 {
		v.Ratio = v.Sluice / v.Floor
	}
	if m.MostRatio > 0 {
		v.Target = fmt.Sprintf("ratio ≤ %.2f", m.MostRatio)
		v.OK = v.OK && v.Ratio > 0 && v.Ratio <= m.MostRatio
	}
	if m.Most > 0 {
		v.Target = fmt.Sprintf("each ≤ %.0f", m.Most)
		v.OK = v.OK && v.Max <= m.Most
	}
	return v
}

// Report is the whole of a run, for scripts.
type Report struct {
	Pairs    int         `json:"pairs"`
	Measures []Verdict   `json:"measures"`
	State    *LargeState `json:"state,omitempty"`
}

// LargeState is one warm upgrade of a job with much state; it has no target.
type LargeState struct {
	Bytes          int64 `json:"bytes"`          // that the job was told to hold
	SavepointBytes int64 `json:"savepointBytes"` // on HDFS
	SavepointMS    int64 `json:"savepointMs"`    // trigger → complete
	PauseMS        int64 `json:"pauseMs"`        // by the job's own trace
	WholeMS        int64 `json:"wholeMs"`        // request → committed, without the soak
}

// Missed names the measures that are over their target.
func (r Report) Missed() []string {
	var names []string
	for _, v := range r.Measures {
		if !v.OK {
			names = append(names, v.Name)
		}
	}
	return names
}

// Table is for people.
func (r Report) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-46s %8s %8s %8s %6s  %s\n", fmt.Sprintf("medians of %d pairs", r.Pairs), "sluice", "(max)", "floor", "ratio", "target")
	for _, v := range r.Measures {
		floor, ratio := "–", "–"
		if v.Floor > 0 {
			floor, ratio = fmt.Sprintf("%.0f", v.Floor), fmt.Sprintf("%.2f", v.Ratio)
		}
		fmt.Fprintf(&b, "%-46s %8.0f %8.0f %8s %6s  %s\n", v.Name, v.Sluice, v.Max, floor, ratio, v.verdict())
	}
	if s := r.State; s != nil {
		fmt.Fprintf(&b, "warm upgrade with %d MiB of state (reported): savepoint of %d MiB in %.1f s, pause %.1f s, request → committed %.1f s\n",
			s.Bytes>>20, s.SavepointBytes>>20, float64(s.SavepointMS)/1000, float64(s.PauseMS)/1000, float64(s.WholeMS)/1000)
	}
	return b.String()
}

func (v Verdict) verdict() string {
	switch {
	case !v.OK:
		return v.Target + "  OVER"
	case v.Target == "":
		return "reported"
	}
	return v.Target + "  ok"
}
