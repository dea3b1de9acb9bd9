package checker

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The set against a map, over random spans that touch words' and pages' ends.
func TestSetAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var s set
		reference := map[int64]bool{}
		const top = 3 * pageBits
		for range random.IntN(20) {
			first := random.Int64N(top)
			last := min(top-1, first+[]int64{0, 1, 63, 64, 200, pageBits}[random.IntN(6)])
			for n := first; n <= last; n++ {
				if s.add(n) == reference[n] {
					t.Fatalf("seed %d: add(%d) = %t", seed, n, reference[n])
				}
				reference[n] = true
			}
		}
		var want []span
		for n := int64(0); n < top; n++ {
			if reference[n] && (len(want) == 0 || want[len(want)-1].Last != n-1) {
				want = append(want, span{n, n})
			} else if reference[n] {
				want[len(want)-1].Last = n
			}
			if s.has(n) != reference[n] {
				t.Fatalf("seed %d: has(%d) = %t", seed, n, s.has(n))
			}
		}
		var got, gaps, wantGaps []span
		s.spans(func(in span) bool { got = append(got, in); return true })
		require.Equal(t, want, got)
		require.EqualValues(t, len(reference), s.size)
		next := int64(0)
		for _, in := range want {
			if in.First > next {
				wantGaps = append(wantGaps, span{next, in.First - 1})
			}
			next = in.Last + 1
		}
		s.gaps(0, func(gap span) bool { gaps = append(gaps, gap); return true })
		require.Equal(t, wantGaps, gaps)
		lowest, highest := s.ends()
		if len(want) == 0 {
			require.EqualValues(t, [2]int64{-1, -1}, [2]int64{lowest, highest})
		} else {
			require.EqualValues(t, [2]int64{want[0].First, want[len(want)-1].Last}, [2]int64{lowest, highest})
		}
	}
}
