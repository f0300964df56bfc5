package breaker

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	buckets = 8 // a row is a cache line, and epochs that wrap around stay in line
	shards  = 8 // more gain nothing: a shard is chosen at random, and a call takes long beside an addition
)

// lateness is how many steps a goroutine may be late that read the clock and was stopped before it counted. It is far from
// what a cell may be old, so that epochs that wrap around are told apart.
const lateness = 1 << 20

// window counts the calls of the last while. Time is cut into steps; a cell counts those of one step, and is taken over by
// the step that comes buckets later. Successes are spread over shards. Failures and slow calls are not, since each is
// followed by a look at their sum.
type window struct {
	start    instant
	step     time.Duration
	failures need // how many it takes
	slows    need

	_      [48]byte // to whole cache lines
	ok     [shards]row
	failed row
	slow   row
}

type row [buckets]cell

// epoch is the number of a step. It wraps around: only differences count.
type epoch uint32

// cell has its epoch in the upper half and its count in the lower.
type cell struct{ v atomic.Uint64 }

func split(v uint64) (epoch, uint32) { return epoch(v >> 32), uint32(v) }

// sees reports whether a step is in the window at e. One a little later is: others are ahead of this goroutine.
func (e epoch) sees(of epoch) bool { return e-of < buckets || of-e < buckets }

// add counts one for e. A writer so late that the cell is another step's counts there.
func (c *cell) add(e epoch) {
	for {
		v := c.v.Load()
		of, n := split(v)
		switch {
		case of-e < lateness:
			if n < math.MaxInt32 { // half of what there is room for: many may be here at once
				c.v.Add(1)
			}
			return
		case c.v.CompareAndSwap(v, uint64(e)<<32|1):
			return
		}
	}
}

// sum counts what is in the window at e.
func (r *row) sum(e epoch) (n uint64) {
	for i := range r {
		if of, count := split(r[i].v.Load()); e.sees(of) {
			n += uint64(count)
		}
	}
	return n
}

func newWindow(r *Rules, start instant) *window {
	return &window{
		start:    start,
		step:     r.Window / buckets,
		failures: newNeed(r.FailureRate, r.MinCalls),
		slows:    newNeed(r.SlowRate, r.MinCalls),
	}
}

func (w *window) epoch(now instant) epoch { return epoch(time.Duration(now-w.start) / w.step) }

// success counts one on some shard.
func (w *window) success(e epoch) {
	w.ok[rand.Uint32()%shards][e%buckets].add(e)
}

func (w *window) successes(e epoch) (n uint64) {
	for i := range w.ok {
		n += w.ok[i].sum(e)
	}
	return n
}

// failuresBreak reports whether too many have failed.
func (w *window) failuresBreak(e epoch) bool {
	failed := w.failed.sum(e)
	return w.failures.met(e, failed, func() uint64 { return failed + w.successes(e) })
}

// slowsBreak reports whether too many were slow.
func (w *window) slowsBreak(e epoch) bool {
	return w.slows.met(e, w.slow.sum(e), func() uint64 { return w.failed.sum(e) + w.successes(e) })
}

// need is how many bad calls in the window break a rule. Counting all calls takes long, so it remembers how many bad
// ones it takes at least: within one epoch nothing leaves the window, so that good calls only raise it.
type need struct {
	rate  float64 // 0 means off
	least uint64  // the calls that it takes
	bad   uint32  // the bad ones among them
	known atomic.Uint64
}

func newNeed(rate float64, least int) need {
	bad := math.Ceil(rate * float64(least))
	if bad > 0 && (bad-1)/float64(least) >= rate { // the product was rounded up
		bad--
	}
	return need{rate: rate, least: uint64(least), bad: uint32(bad)}
}

// met reports whether bad calls are enough. all counts all calls, the bad ones included.
func (n *need) met(e epoch, bad uint64, all func() uint64) bool {
	if n.rate == 0 || bad < uint64(n.bad) {
		return false
	}
	if of, known := split(n.known.Load()); of == e && bad < uint64(known) {
		return false
	}
	total := all()
	if total >= n.least && float64(bad)/float64(total) >= n.rate {
		return true
	}
	n.known.Store(uint64(e)<<32 | uint64(n.atLeast(total-min(bad, total))))
	return false
}

// atLeast returns a lower bound of the bad calls that it takes beside so many good ones.
func (n *need) atLeast(good uint64) uint32 {
	if n.rate == 1 {
		if good > 0 {
			return math.MaxUint32
		}
		return n.bad
	}
	bad := n.rate * float64(good) / (1 - n.rate)
	return uint32(min(max(bad-1, float64(n.bad)), math.MaxUint32)) // less one, for the rounding
}
