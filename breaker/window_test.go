package breaker

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A window must count what a list of all calls does, across idle times, late writers and the end of the epochs.
func TestWindowAgainstList(t *testing.T) {
	type event struct {
		at   epoch
		good bool
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, start := range []epoch{0, 1, math.MaxInt32 - 50, math.MaxUint32 - 50} {
		w := newWindow(&Rules{Window: minWindow, FailureRate: 0.5, MinCalls: 1}, 0)
		for i := range buckets { // of long ago, as if there had been calls all the time
			w.failed[i].v.Store(uint64(start-buckets) << 32)
			for shard := range w.ok {
				w.ok[shard][i].v.Store(uint64(start-buckets) << 32)
			}
		}
		var events []event
		now := start
		for range 2000 {
			if rng.IntN(3) == 0 {
				now += epoch(rng.IntN(4))
			}
			if rng.IntN(100) == 0 {
				now += epoch(rng.IntN(100))
			}
			good := rng.IntN(2) == 0
			if good {
				w.success(now)
			} else {
				w.failed[now%buckets].add(now)
			}
			events = append(events, event{now, good})
			var ok, failed uint64
			for _, e := range events {
				if now-e.at < buckets {
					if e.good {
						ok++
					} else {
						failed++
					}
				}
			}
			require.Equal(t, ok, w.successes(now))
			require.Equal(t, failed, w.failed.sum(now))
			require.Equal(t, failed >= ok && failed > 0, w.failuresBreak(now), "%d of %d", failed, ok+failed)
		}
	}
}

// A writer that read the clock in an earlier step counts in the step that has taken its cell over, and does not undo it.
func TestLateWriter(t *testing.T) {
	var c cell
	c.add(3 + buckets)
	c.add(3)
	of, n := split(c.v.Load())
	require.EqualValues(t, 3+buckets, of)
	require.EqualValues(t, 2, n)

	var r row
	r[4].add(4)
	require.EqualValues(t, 1, r.sum(3), "others are ahead")
	require.Zero(t, r.sum(4+buckets))
	require.Zero(t, r.sum(math.MaxUint32-buckets))
}

func TestCellIsNeverOverfull(t *testing.T) {
	var c cell
	c.v.Store(7<<32 | math.MaxInt32 - 1)
	for range 5 {
		c.add(7)
	}
	of, n := split(c.v.Load())
	require.EqualValues(t, 7, of)
	require.EqualValues(t, math.MaxInt32, n)
}

// What need remembers must never hide that the rule is broken.
func TestNeedAgainstQuotient(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		rate := 1 - rng.Float64()
		if rng.IntN(4) == 0 {
			rate = 1
		}
		least := 1 + rng.IntN(30)
		n := newNeed(rate, least)
		var good, bad uint64
		for range 100 {
			if rng.IntN(3) == 0 {
				good++
				continue
			}
			bad++
			total := good + bad
			want := total >= uint64(least) && float64(bad) >= rate*float64(total)
			require.Equal(t, want, n.met(1, bad, func() uint64 { return total }), "%d of %d, rate %v", bad, total, rate)
		}
	}
}

// Goroutines that write would slow down those that read on the same cache line: by three times, when it was so.
func TestLayout(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64-bit machines")
	}
	const line = 64
	var w window
	for _, offset := range []uintptr{
		unsafe.Offsetof(w.ok), unsafe.Offsetof(w.failed), unsafe.Offsetof(w.slow), unsafe.Sizeof(w),
		unsafe.Offsetof(period{}.consecutive), unsafe.Sizeof(period{}),
	} {
		require.Zero(t, offset%line)
	}
}
