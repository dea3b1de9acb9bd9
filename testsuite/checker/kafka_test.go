package checker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/stretchr/testify/require"
)

// log is a partition as a broker keeps it.
type log struct {
	batches []batch
	aborted []fetch.ResponseTransaction
	end     int64
}

// write appends numbers of one producer's transaction.
func (l *log) write(producer, from, to int64) {
	b := batch{producer: producer, transactional: true}
	for n := from; n <= to; n++ {
		b.values = append(b.values, fmt.Sprintf("0,%d,%d,v1", n, n+1))
		b.last = l.end
		l.end++
	}
	l.batches = append(l.batches, b)
}

func (l *log) marker(producer int64, key string) {
	l.batches = append(l.batches, batch{producer: producer, transactional: true, control: true, values: []string{key}, last: l.end})
	l.end++
}

func (l *log) commit(producer int64) { l.marker(producer, "\x00\x00\x00\x01") }

func (l *log) abort(producer, first int64) {
	l.marker(producer, abortMarker)
	l.aborted = append(l.aborted, fetch.ResponseTransaction{ProducerID: producer, FirstOffset: first})
}

func judged(l *log, stable int64, o KafkaOptions) KafkaReport {
	j := newKafkaJudge(o)
	p := j.partition(0)
	p.Stable, p.End = stable, l.end
	var readable []batch
	for _, b := range l.batches {
		if b.last < stable {
			readable = append(readable, b)
		}
	}
	p.take(readable, l.aborted)
	return j.report()
}

func TestKafkaIsJudged(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(*log)
		open bool // the last transaction is
		says string
	}{
		"two transactions": {fill: func(l *log) { l.write(7, 0, 4); l.commit(7); l.write(7, 5, 9); l.commit(7) }},
		"an aborted one, repeated by another producer": {fill: func(l *log) {
			l.write(7, 0, 4)
			l.commit(7)
			l.write(7, 5, 7)
			l.abort(7, 6)
			l.write(8, 5, 9)
			l.commit(8)
		}},
		"its producer goes on": {fill: func(l *log) {
			l.write(7, 0, 4)
			l.abort(7, 0)
			l.write(7, 0, 9)
			l.commit(7)
		}},
		"a gap":               {fill: func(l *log) { l.write(7, 0, 4); l.write(7, 6, 9); l.commit(7) }, says: "1 gaps: 5"},
		"a double":            {fill: func(l *log) { l.write(7, 0, 4); l.commit(7); l.write(8, 4, 9); l.commit(8) }, says: "1 numbers again, or out of order: 4 after 4"},
		"out of order":        {fill: func(l *log) { l.write(7, 0, 4); l.write(7, 7, 9); l.write(7, 5, 6); l.commit(7) }, says: "out of order: 5 after 9"},
		"lost at the end":     {fill: func(l *log) { l.write(7, 0, 8); l.commit(7) }, says: "it ends at number 8, not 9"},
		"aborted for good":    {fill: func(l *log) { l.write(7, 0, 4); l.commit(7); l.write(7, 5, 9); l.abort(7, 6) }, says: "it ends at number 4, not 9"},
		"an open one":         {fill: func(l *log) { l.write(7, 0, 9); l.commit(7); l.write(9, 5, 9) }, open: true, says: "an open transaction blocks readers from offset 11 of 16"},
		"counted wrongly":     {fill: func(l *log) { l.write(7, 0, 9); l.batches[0].values[3] = "0,3,1,v1"; l.commit(7) }, says: "not counted from the right state"},
		"another partition's": {fill: func(l *log) { l.write(7, 0, 9); l.batches[0].values[3] = "1,3,4,v1"; l.commit(7) }, says: "are elsewhere"},
		"no record of ours":   {fill: func(l *log) { l.write(7, 0, 9); l.batches[0].values[9] = "x"; l.commit(7) }, says: "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &log{}
			c.fill(l)
			stable := l.end
			if c.open {
				stable = l.batches[len(l.batches)-2].last + 1
			}
			report := judged(l, stable, KafkaOptions{Records: 10})
			require.Equal(t, c.says == "", report.OK(), report.Problems)
			require.Contains(t, strings.Join(report.Problems, "\n"), c.says)
		})
	}
	require.Contains(t, judged(&log{}, 0, KafkaOptions{}).Problems[0], "nothing is proven")
}
