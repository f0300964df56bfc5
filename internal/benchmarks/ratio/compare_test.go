package ratio

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var sink uint64

// burn spends CPU time in proportion to rounds.
func burn(rounds int) {
	x := uint64(88172645463325252)
	for range rounds * 1000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink = x
}

func measurable(t *testing.T) {
	t.Helper()
	if _, err := cpuTime(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no CPU time on " + runtime.GOOS)
	}
}

// brief is long enough for one goroutine, whose CPU time is accounted at once.
var brief = &Options{Slice: 5 * time.Millisecond, Pairs: 31}

func TestCompareFindsTwiceTheCPU(t *testing.T) {
	measurable(t)
	one := Each(func() error { burn(10); return nil })
	two := Each(func() error { burn(20); return nil })
	r, err := Compare(two, one, brief)
	require.NoError(t, err)
	require.InDelta(t, 2, r.CPU.Ratio(), 0.4, "twice the work must show as twice the CPU time")
	r, err = Compare(one, two, brief)
	require.NoError(t, err)
	require.InDelta(t, 0.5, r.CPU.Ratio(), 0.1, "half the work must show as half the CPU time")
	r, err = Compare(one, one, brief)
	require.NoError(t, err)
	require.InDelta(t, 1, r.CPU.Ratio(), 0.2, "the same work must show as the same CPU time")
}

func TestCompareTellsCPUFromWall(t *testing.T) {
	measurable(t)
	sleep := Each(func() error { time.Sleep(time.Millisecond); return nil })
	work := Each(func() error {
		for start := time.Now(); time.Since(start) < time.Millisecond; {
			burn(1)
		}
		return nil
	})
	r, err := Compare(sleep, work, brief)
	require.NoError(t, err)
	require.Less(t, r.CPU.Ratio(), 0.5, "sleep costs no CPU time")
	require.Greater(t, r.Wall.Ratio(), 0.5, "sleep costs wall time")
}

func TestCompareAlternates(t *testing.T) {
	measurable(t)
	var order []byte
	log := func(b byte) Op {
		return func(int) error { order = append(order, b); time.Sleep(2 * time.Millisecond); return nil }
	}
	r, err := Compare(log('A'), log('B'), &Options{Slice: time.Millisecond, Pairs: 4})
	require.NoError(t, err)
	require.Equal(t, "AB"+"ABBAABBA", string(order), "each side is calibrated, then they take turns")
	require.Len(t, r.CPU.ours, 4)
	require.Len(t, r.CPU.peer, 4)
}

func TestCompareReadsTheExtraMeter(t *testing.T) {
	measurable(t)
	var extra time.Duration
	add := func(d time.Duration) Op {
		return func(n int) error { extra += d * time.Duration(n); time.Sleep(time.Millisecond); return nil }
	}
	meter := func() (time.Duration, error) { return extra, nil }
	r, err := Compare(add(30), add(10), &Options{Slice: time.Millisecond, Pairs: 3, Extra: meter})
	require.NoError(t, err)
	require.InDelta(t, 3, r.Extra.Ratio(), 1e-9)
	require.Equal(t, time.Duration(30), r.Extra.Ours())
	require.Equal(t, time.Duration(10), r.Extra.Peer())
	require.InDelta(t, 3, r.Extra.Plus(r.Extra).Ratio(), 1e-9)
	require.Equal(t, time.Duration(60), r.Extra.Plus(r.Extra).Ours())
}

func TestCompareReportsErrors(t *testing.T) {
	measurable(t)
	bad, fine := errors.New("bad"), Each(func() error { burn(1); return nil })
	fails := Each(func() error { return bad })
	_, err := Compare(fine, fails, brief)
	require.ErrorIs(t, err, bad)
	require.ErrorContains(t, err, "peer")
	_, err = Compare(fails, fine, brief)
	require.ErrorContains(t, err, "ours")
	_, err = Compare(fine, fine, &Options{Extra: func() (time.Duration, error) { return 0, bad }})
	require.ErrorIs(t, err, bad)
}
