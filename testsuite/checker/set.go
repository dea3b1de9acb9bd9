package checker

import (
	"math/bits"
	"slices"
)

const pageBits = 1 << 16

// set is a set of numbers ≥ 0 in pages of 8 KiB: a million neighbours take 128 KiB, and one absurd number (a corrupt
// line) takes one page and not all the memory below it.
type set struct {
	pages map[int64]*[pageBits / 64]uint64
	size  int64
}

// span is the numbers from First to Last, both included.
type span struct{ First, Last int64 }

func (s *set) add(n int64) (added bool) {
	page := s.pages[n/pageBits]
	if page == nil {
		if s.pages == nil {
			s.pages = map[int64]*[pageBits / 64]uint64{}
		}
		page = new([pageBits / 64]uint64)
		s.pages[n/pageBits] = page
	}
	word, bit := &page[n%pageBits/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.size++
	return true
}

func (s *set) has(n int64) bool {
	page := s.pages[n/pageBits]
	return page != nil && page[n%pageBits/64]&(1<<(n%64)) != 0
}

// spans calls yield with each run of neighbouring members, lowest first.
func (s *set) spans(yield func(span) bool) {
	keys := make([]int64, 0, len(s.pages))
	for k := range s.pages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	open := span{First: -1, Last: -1}
	for _, k := range keys {
		for w, word := range s.pages[k] {
			base := k*pageBits + int64(w)*64
			for at := 0; at < 64; {
				rest := word >> at
				if rest == 0 {
					break
				}
				at += bits.TrailingZeros64(rest)
				run := bits.TrailingZeros64(^(word >> at))
				first, last := base+int64(at), base+int64(at+run)-1
				at += run
				if open.First >= 0 && open.Last == first-1 {
					open.Last = last
					continue
				}
				if open.First >= 0 && !yield(open) {
					return
				}
				open = span{First: first, Last: last}
			}
		}
	}
	if open.First >= 0 {
		yield(open)
	}
}

// gaps calls yield with each run of missing numbers between from and the highest member.
func (s *set) gaps(from int64, yield func(span) bool) {
	next := from
	s.spans(func(in span) bool {
		if in.First > next && !yield(span{First: next, Last: in.First - 1}) {
			return false
		}
		next = max(next, in.Last+1)
		return true
	})
}

// ends returns the lowest and the highest member, or -1, -1 of an empty set.
func (s *set) ends() (lowest, highest int64) {
	lowest, highest = -1, -1
	s.spans(func(in span) bool {
		if lowest < 0 {
			lowest = in.First
		}
		highest = in.Last
		return true
	})
	return lowest, highest
}
