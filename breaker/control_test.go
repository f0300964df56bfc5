package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

func TestTrip(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		require.NoError(t, b.Trip("deploy", 0))
		e := requireOpen(t, b)
		require.Equal(t, 5*time.Second, e.RetryAfter())
		require.EqualError(t, e, `breaker: "billing" is open: manual (deploy)`)
		require.NoError(t, b.Trip("fleet", 24*time.Hour))
		require.Equal(t, 24*time.Hour, requireOpen(t, b).RetryAfter(), "the open time begins anew")
		require.NoError(t, b.Trip("fleet", time.Millisecond))
		time.Sleep(time.Millisecond)
		p := allow(t, b)
		require.NoError(t, b.Trip("again", time.Second))
		p.Done(nil)
		require.Equal(t, breaker.Open, b.State(), "a probe of before")
		for _, d := range []time.Duration{-1, time.Millisecond - 1, 24*time.Hour + 1} {
			require.ErrorIs(t, b.Trip("bad", d), breaker.ErrInvalid)
		}
		require.Equal(t, "again", b.Snapshot().Reason)
	})
}

func TestProbeFromOutside(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		b.Probe("closed")
		require.Equal(t, breaker.Closed, b.State())
		require.NoError(t, b.Trip("fleet", time.Hour))
		b.Probe("lease")
		require.Equal(t, time.Millisecond, requireOpen(t, b).RetryAfter())
		b.Probe("twice")
		require.Equal(t, "lease", b.Snapshot().Reason, "a second one changes nothing")
		time.Sleep(time.Millisecond)
		p := allow(t, b)
		b.Probe("half-open")
		require.Equal(t, breaker.HalfOpen, b.State())
		p.Done(nil)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestRestore(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		b.Restore("closed")
		require.Zero(t, b.Snapshot().Seq)
		calls(t, b, 1, errDown)
		b.Restore("fleet")
		require.Equal(t, breaker.Closed, b.State(), "at the same instant")
		calls(t, b, 1, nil)
		p := halfOpen(t, b)
		b.Restore("fleet")
		require.Equal(t, breaker.Closed, b.State())
		p.Done(errDown)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestOperator(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		b.ForceOpen("maintenance")
		require.NoError(t, b.Trip("fleet", time.Second))
		b.Restore("fleet")
		b.Probe("fleet")
		time.Sleep(24 * time.Hour)
		e := requireOpen(t, b)
		require.Equal(t, "maintenance", e.Reason)
		require.Equal(t, time.Minute, e.RetryAfter(), "nobody knows, however long it has been")

		b.Disable("trust me")
		calls(t, b, 100, errDown)
		require.NoError(t, b.Trip("fleet", time.Second))
		require.Equal(t, breaker.Disabled, b.State())
		require.Zero(t, b.Snapshot().Failures)

		b.Reset("done")
		require.Equal(t, breaker.Closed, b.State())
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Open, b.State())
		b.Reset("done")
		calls(t, b, 1, nil)
	})
}

func TestHold(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		require.NoError(t, b.Hold("fleet", 2*time.Second))
		asked := b.Refused()
		require.False(t, closed(asked))
		require.Equal(t, 2*time.Second, requireOpen(t, b).RetryAfter())
		require.True(t, closed(asked))
		time.Sleep(2 * time.Second)
		require.Equal(t, 5*time.Second, requireOpen(t, b).RetryAfter(), "nobody knows when")
		require.Zero(t, b.Snapshot().OpenFor)
		require.NoError(t, b.Hold("fleet again", time.Second))
		again := b.Refused()
		require.False(t, closed(again), "nobody has been refused since")
		require.Equal(t, again, b.Refused())
		require.Equal(t, time.Second, requireOpen(t, b).RetryAfter())
		b.Probe("mine")
		time.Sleep(time.Millisecond)
		p := allow(t, b)
		p.Done(errDown)
		require.Equal(t, 10*time.Second, requireOpen(t, b).RetryAfter(), "a probe that failed opens it as always")

		require.NoError(t, b.Hold("fleet", 0))
		time.Sleep(24*time.Hour + 10*time.Second - 1)
		requireOpen(t, b)
		time.Sleep(time.Nanosecond)
		p = allow(t, b)
		require.ErrorIs(t, b.Hold("bad", -1), breaker.ErrInvalid)
		p.Done(nil)
		require.Equal(t, breaker.Closed, b.State())
		require.NoError(t, b.Hold("fleet", time.Second))
		b.Restore("fleet")
		calls(t, b, 1, nil)
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
