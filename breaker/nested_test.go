package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

// A call within a call of the same breaker is part of its probe: it would wait for itself.
func TestCallWithinAProbe(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		require.NoError(t, b.Trip("test", time.Second))
		time.Sleep(time.Second)
		ran := false
		require.NoError(t, b.Do(t.Context(), func(ctx context.Context) error {
			_, other := b.Allow() // not by that context
			require.ErrorIs(t, other, breaker.ErrOpen)
			return b.Do(ctx, func(context.Context) error { ran = true; return nil })
		}))
		require.True(t, ran)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// What another breaker refuses tells nothing of what this one guards.
func TestRefusalWithinIsNeutral(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		inner, err := breaker.New("inner", nil)
		require.NoError(t, err)
		inner.ForceOpen("down")
		for range 100 {
			err := b.Do(t.Context(), func(ctx context.Context) error {
				return inner.Do(ctx, func(context.Context) error { return nil })
			})
			require.ErrorIs(t, err, breaker.ErrOpen)
		}
		require.Equal(t, breaker.Closed, b.State())
	})
}

// A context that has ended before says nothing of what would have been called, and takes no probe.
func TestContextEndedBefore(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		time.Sleep(2 * time.Millisecond) // at the same instant nobody knows which timer comes first
		for range 100 {
			err := b.Do(late, func(context.Context) error { return errors.New("called") })
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotContains(t, err.Error(), "called")
		}
		require.Equal(t, breaker.Closed, b.State())
		require.NoError(t, b.Trip("test", time.Second))
		time.Sleep(time.Second)
		require.ErrorIs(t, b.Do(late, func(context.Context) error { return nil }), context.DeadlineExceeded)
		require.Equal(t, breaker.Open, b.State())
	})
}

// Only probes that fail make the open time grow.
func TestTripDoesNotGrow(t *testing.T) {
	bubble(t, one(), func(t *testing.T, b *breaker.Breaker) {
		for range 3 {
			halfOpen(t, b)
			require.NoError(t, b.Trip("again", 0))
			require.Equal(t, 5*time.Second, b.Snapshot().OpenFor)
		}
	})
}

// Rates that are no binary number are met where the documentation says, at them.
func TestRatesAreExact(t *testing.T) {
	for _, n := range []int{7, 14, 28, 55, 56} {
		o := breaker.Options{Rules: breaker.Rules{FailureRate: float64(n) / 100, MinCalls: 100}}
		bubble(t, &o, func(t *testing.T, b *breaker.Breaker) {
			calls(t, b, 100-n, nil)
			calls(t, b, n-1, errDown)
			require.Equal(t, breaker.Closed, b.State(), "%d", n)
			calls(t, b, 1, errDown)
			require.Equal(t, breaker.Open, b.State(), "%d", n)
		})
	}
}
