package retry

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bounds is a naive second opinion on the range of a delay.
func bounds(o *Options, n int) (least, most time.Duration) {
	grown := float64(o.Delay) * math.Pow(2, float64(n-1))
	most = time.Duration(min(grown, float64(o.MaxDelay)))
	switch o.Jitter {
	case EqualJitter:
		return most / 2, most
	case DecorrelatedJitter:
		return o.Delay, o.MaxDelay
	case NoJitter:
		return most, most
	}
	return 0, most
}

func requireDelays(t *testing.T, o *Options, retries []int) {
	t.Helper()
	before := time.Duration(0)
	for _, n := range retries {
		d := o.delay(n, before)
		least, most := bounds(o, n)
		require.GreaterOrEqual(t, d, least, "retry %d of %+v", n, *o)
		require.LessOrEqual(t, d, most, "retry %d of %+v", n, *o)
		before = d
	}
}

func TestDelayRanges(t *testing.T) {
	retries := []int{1, 2, 3, 10, 30, 61, 62, 63, 64, 65, 127, 1 << 20, math.MaxInt}
	for j := FullJitter; j <= NoJitter; j++ {
		for _, o := range []Options{
			{Jitter: j},
			{Jitter: j, Delay: minDelay, MaxDelay: longest},
			{Jitter: j, Delay: minDelay, MaxDelay: minDelay},
			{Jitter: j, Delay: longest, MaxDelay: longest},
			{Jitter: j, Delay: 3 * time.Millisecond, MaxDelay: 7 * time.Millisecond},
		} {
			filled, err := o.filled()
			require.NoError(t, err)
			for range 100 {
				requireDelays(t, &filled, retries)
			}
		}
		none := Options{Jitter: j}
		require.Zero(t, none.delay(5, time.Hour))
	}
}

// A wait before that came from elsewhere, such as a Retry-After, does not carry a delay out of its range.
func TestDecorrelatedAfterAnyWait(t *testing.T) {
	o, err := Options{Jitter: DecorrelatedJitter}.filled()
	require.NoError(t, err)
	for _, before := range []time.Duration{math.MinInt64, -1, 0, 1, time.Hour, math.MaxInt64} {
		for range 100 {
			d := o.delay(2, before)
			require.GreaterOrEqual(t, d, o.Delay)
			require.LessOrEqual(t, d, o.MaxDelay)
		}
	}
}

func FuzzDelay(f *testing.F) {
	f.Add(int64(0), int64(0), uint8(0), 1)
	f.Add(int64(1000), int64(math.MaxInt64), uint8(2), 1_000_000)
	f.Add(int64(longest), int64(longest), uint8(1), 63)
	f.Fuzz(func(t *testing.T, delay, maxDelay int64, jitter uint8, n int) {
		o, err := Options{Delay: time.Duration(delay), MaxDelay: time.Duration(maxDelay), Jitter: Jitter(jitter)}.filled()
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		n = max(1, n)
		requireDelays(t, &o, []int{n, n, max(n, n+1)})
	})
}

func FuzzOptions(f *testing.F) {
	f.Add(3, int64(0), int64(0), int64(0), int64(0), int64(0), 100, 0.1, 1)
	f.Add(-1, int64(1e9), int64(1e9), int64(-1), int64(1e9), int64(1e9), -1, math.NaN(), -1)
	f.Fuzz(func(t *testing.T, attempts int, elapsed, timeout, delay, maxDelay, maxRetryAfter int64, size int, ratio float64, perSecond int) {
		p, err := New(&Options{
			Attempts: attempts, Elapsed: time.Duration(elapsed), Timeout: time.Duration(timeout), Delay: time.Duration(delay),
			MaxDelay: time.Duration(maxDelay), MaxRetryAfter: time.Duration(maxRetryAfter),
		})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		} else {
			require.Positive(t, p.o.Attempts)
			require.GreaterOrEqual(t, p.o.MaxDelay, p.o.Delay)
			require.LessOrEqual(t, p.o.later(p.o.MaxRetryAfter), longest+longest/onTop)
		}
		b, err := NewBudget("a", &BudgetOptions{Max: size, Ratio: ratio, PerSecond: perSecond})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		full := b.Level()
		require.True(t, b.Withdraw())
		b.Deposit()
		require.LessOrEqual(t, b.Level(), full)
		require.GreaterOrEqual(t, b.Level(), full-1)
	})
}

func TestSketch(t *testing.T) {
	for d := time.Duration(1); d < longest; d = d*17/16 + 1 {
		i := bucket(d)
		require.GreaterOrEqual(t, top(i), min(d, longest), "%v", d)
		require.LessOrEqual(t, float64(top(i)), float64(max(d, perOctave))*1.13, "%v", d)
		require.LessOrEqual(t, bucket(max(0, d-1)), i)
	}
	for _, d := range []time.Duration{math.MinInt64, 0, math.MaxInt64} {
		require.Less(t, bucket(d), buckets)
		require.Positive(t, top(bucket(d)))
	}
	s := newSketch(0.95)
	for i := range 20_000 {
		s.add(time.Duration(i%100+1) * time.Millisecond)
	}
	require.InDelta(t, 95, time.Duration(s.at.Load()).Milliseconds(), 13)
	for range 20_000 {
		s.add(time.Second)
	}
	require.GreaterOrEqual(t, time.Duration(s.at.Load()), time.Second, "what is old fades")
	for range 100_000 {
		s.add(time.Millisecond)
	}
	require.Less(t, time.Duration(s.at.Load()), 2*time.Millisecond)
}
