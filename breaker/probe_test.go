package breaker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// one opens at the first failure.
func one() *breaker.Options { return plain(breaker.Rules{FailureRate: -1, Consecutive: 1}) }

func allow(t *testing.T, b *breaker.Breaker) *breaker.Permit {
	t.Helper()
	p, err := b.Allow()
	require.NoError(t, err)
	return &p
}

// halfOpen returns the permit of the first probe.
func halfOpen(t *testing.T, b *breaker.Breaker) *breaker.Permit {
	t.Helper()
	require.NoError(t, b.Trip("test", time.Second))
	time.Sleep(time.Second)
	p := allow(t, b)
	require.Equal(t, breaker.HalfOpen, b.State())
	return p
}

func TestOpenTimeGrows(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 1, errDown)
		for _, d := range []time.Duration{5, 10, 20, 40, 60, 60} {
			d *= time.Second
			require.Equal(t, d, requireOpen(t, b).RetryAfter())
			time.Sleep(d - 1)
			require.EqualValues(t, 1, requireOpen(t, b).RetryAfter())
			time.Sleep(time.Nanosecond)
			calls(t, b, 1, errDown)
		}
		time.Sleep(time.Minute)
		calls(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
		calls(t, b, 1, errDown)
		require.Equal(t, 5*time.Second, requireOpen(t, b).RetryAfter(), "it has closed between")
	})
}

// Of a thousand callers at one instant exactly as many get through as there may be probes.
func TestProbeLimit(t *testing.T) {
	const callers, probes = 1000, 3
	o := one()
	o.Probes = probes
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 1, errDown)
		time.Sleep(5 * time.Second)
		release, hold := make(chan struct{}), make(chan struct{})
		refused := make(chan time.Duration, callers)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				<-release
				p, err := b.Allow()
				if err != nil {
					refused <- err.(*breaker.OpenError).RetryAfter()
					return
				}
				<-hold
				p.Done(nil)
			})
		}
		close(release)
		synctest.Wait()
		require.Len(t, refused, callers-probes)
		require.Equal(t, breaker.HalfOpen, b.State())
		close(hold)
		wg.Wait()
		require.Equal(t, breaker.Closed, b.State())
		close(refused)
		for d := range refused {
			require.Positive(t, d)
		}
	})
}

func TestAllProbesMustSucceed(t *testing.T) {
	o := one()
	o.Probes = 3
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		first := halfOpen(t, b)
		calls(t, b, 2, nil)
		require.Equal(t, breaker.HalfOpen, b.State())
		requireOpen(t, b)
		first.Done(nil)
		require.Equal(t, breaker.Recovered, b.Snapshot().Cause)
		first.Done(errDown)
		require.Equal(t, breaker.Closed, b.State(), "a second Done does nothing")
	})
}

func TestProbeThatHangs(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		p := halfOpen(t, b)
		require.Equal(t, 5*time.Second, requireOpen(t, b).RetryAfter(), "nobody knows: as long as the open time")
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		require.Equal(t, breaker.HalfOpen, b.State())
		require.Equal(t, 5*time.Second, requireOpen(t, b).RetryAfter(), "who comes back as told does not poll")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, breaker.ProbeTimeout, b.Snapshot().Cause)
		require.Equal(t, 10*time.Second, requireOpen(t, b).RetryAfter(), "grown")
		p.Done(nil)
		require.Equal(t, breaker.Open, b.State(), "too late")
		time.Sleep(10 * time.Second)
		calls(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestProbeThatEndsInTimeLeavesNoTimer(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b).Done(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, breaker.Closed, b.State())
	})
}

// A neutral probe gives its place back, however often.
func TestNeutralProbe(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b).Cancel()
		for range 100 {
			p := allow(t, b)
			_, err := b.Allow()
			require.ErrorIs(t, err, breaker.ErrOpen)
			p.Done(context.Canceled)
			require.Equal(t, breaker.HalfOpen, b.State())
		}
		calls(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// What began before a change of state and ends after it counts for nothing.
func TestLateResults(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		success, failure := allow(t, b), allow(t, b)
		calls(t, b, 1, errDown)
		openFor := b.Snapshot().OpenFor
		failure.Done(errDown)
		success.Done(nil)
		require.Equal(t, breaker.Open, b.State())
		require.Equal(t, openFor, b.Snapshot().OpenFor)
		require.EqualValues(t, 1, b.Snapshot().Seq)
	})
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		success, failure := allow(t, b), allow(t, b)
		probe := halfOpen(t, b)
		success.Done(nil)
		failure.Done(errDown)
		require.Equal(t, breaker.HalfOpen, b.State())
		probe.Done(nil)
		require.Equal(t, breaker.Closed, b.State())
	})
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		old := halfOpen(t, b)
		b.Reset("test")
		old.Done(errDown)
		require.Equal(t, breaker.Closed, b.State(), "a probe of before")
		old = halfOpen(t, b)
		next := halfOpen(t, b)
		old.Done(errDown)
		require.Equal(t, breaker.HalfOpen, b.State())
		_, err := b.Allow()
		require.ErrorIs(t, err, breaker.ErrOpen, "the place is still taken")
		next.Done(nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestDoneTwice(t *testing.T) {
	bubble(t, plain(breaker.Rules{InFlight: 5}), func(t *testing.T, b *breaker.Breaker) {
		p := allow(t, b)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { p.Done(errDown); p.Cancel() })
		}
		wg.Wait()
		require.EqualValues(t, 1, b.Snapshot().Failures)
		require.Zero(t, b.Snapshot().InFlight)
		new(breaker.Permit).Done(nil)
		new(breaker.Permit).Cancel()
	})
}

// A thousand breakers that opened together must not probe together.
func TestProbesSpread(t *testing.T) {
	const n = 1000
	worst := func(t *testing.T, jitter float64) int {
		breakers := make([]*breaker.Breaker, n)
		for i := range breakers {
			breakers[i] = newBreaker(t, &breaker.Options{Jitter: jitter, Rules: breaker.Rules{Consecutive: 1}})
			calls(t, breakers[i], 1, errDown)
		}
		worst, total := 0, 0
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			probes := 0
			for _, b := range breakers {
				if b.State() == breaker.Open && do(b, nil) == nil {
					probes++
				}
			}
			worst, total = max(worst, probes), total+probes
		}
		require.Equal(t, n, total)
		return worst
	}
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, n, worst(t, -1), "without jitter they come together")
		require.Less(t, worst(t, 0), 100, "40 are to be expected: 2.5 s have 25 times 100 ms")
	})
}
