package breaker

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever calls, controls and timers do at once, a period never has more probes in flight than there may be, and a breaker
// works afterwards.
func TestStress(t *testing.T) {
	const probes = 2
	var last atomic.Uint64
	b, err := New("stress", &Options{
		Rules:   Rules{Consecutive: 2, InFlight: 6, SlowAfter: time.Hour},
		OpenFor: time.Millisecond, MaxOpenFor: time.Millisecond, ProbeTimeout: 5 * time.Millisecond, Probes: probes,
		Trace: &Trace{Transition: func(tr Transition) { last.Store(tr.Seq) }},
	})
	require.NoError(t, err)
	var running sync.Map // of *period to *atomic.Int64
	var seen, tooMany atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 0))
			for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); {
				switch rng.IntN(2000) {
				case 0:
					b.Reset("stress")
				case 1:
					_ = b.Trip("stress", 0)
				case 2:
					b.Disable("stress")
				case 3, 4:
					b.Restore("stress")
				}
				c, err := b.begin(context.Background())
				if err != nil {
					if rng.IntN(10) == 0 {
						b.Reset("stress")
					}
					time.Sleep(100 * time.Microsecond)
					continue
				}
				if c.probe == nil {
					runtime.Gosched()
					c.end(Outcome(rng.IntN(3)))
					continue
				}
				seen.Add(1)
				n, _ := running.LoadOrStore(c.p, new(atomic.Int64))
				if n.(*atomic.Int64).Add(1) > probes {
					tooMany.Add(1)
				}
				if rng.IntN(20) == 0 {
					time.Sleep(7 * time.Millisecond) // too long
				}
				n.(*atomic.Int64).Add(-1) // before its place is free
				c.end(Outcome(rng.IntN(3)))
			}
		})
	}
	wg.Wait()
	require.Positive(t, seen.Load(), "there was no probe: the test shows nothing")
	require.Zero(t, tooMany.Load())
	b.Reset("end")
	require.Equal(t, b.Snapshot().Seq, last.Load(), "hooks have heard all")
	require.NoError(t, b.Do(t.Context(), func(context.Context) error { return nil }))
	require.Zero(t, b.Snapshot().InFlight)
}

// The timer of a probe may have fired just when the probe ends, and wait for the lock: what ended first counts.
func TestProbeEndsOnce(t *testing.T) {
	b, err := New("once", &Options{Probes: 2})
	require.NoError(t, err)
	require.NoError(t, b.Trip("test", time.Millisecond))
	time.Sleep(2 * time.Millisecond)
	c, err := b.begin(t.Context())
	require.NoError(t, err)
	c.end(Success)
	require.False(t, c.probe.timer.Stop(), "the timer is still set")
	b.endProbe(c.probe, Failure, ProbeTimeout)
	require.Equal(t, HalfOpen, b.State())
}
