package retry_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

func goexit() { runtime.Goexit() }

func TestLoop(t *testing.T) {
	p := newPolicy(t, retry.Options{Delay: -1})
	a := p.Start(t.Context())
	require.Zero(t, a.Number())
	require.EqualError(t, a.Err(), "retry: invalid: Err before Next")
	for a.Next() {
		if a.Number() < 3 {
			a.Done(errDown)
			continue
		}
		a.Done(nil)
		a.Done(errDown) // ignored
	}
	require.NoError(t, a.Err())
	require.Equal(t, 3, a.Number())
	require.False(t, a.Next())
	a.Cancel()
	require.NoError(t, a.Err())
}

func TestLoopWithoutDone(t *testing.T) {
	p := newPolicy(t, retry.Options{Timeout: time.Hour})
	a := p.Start(t.Context())
	attempts := 0
	for a.Next() {
		attempts++
	}
	require.Equal(t, 1, attempts)
	require.ErrorIs(t, a.Err(), retry.ErrInvalid)
	require.EqualError(t, a.Err(), "retry: invalid: attempt 1 without Done")
	require.ErrorIs(t, a.Context().Err(), context.Canceled)
}

func TestLoopLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, retry.Options{Timeout: time.Hour})
		a := p.Start(t.Context())
		for a.Next() {
			a.Done(errDown)
			break
		}
		require.EqualError(t, a.Err(), "retry: gave up after 1 attempt (loop left): down")

		b := p.Start(t.Context())
		for b.Next() {
			break
		}
		require.EqualError(t, b.Err(), "retry: invalid: attempt 1 without Done")
		require.ErrorIs(t, b.Context().Err(), context.Canceled)

		c := p.Start(t.Context())
		require.True(t, c.Next())
		c.Cancel()
		require.ErrorIs(t, c.Context().Err(), context.Canceled)
		require.False(t, c.Next())
		require.ErrorIs(t, c.Err(), retry.ErrInvalid)
	})
}

func TestKeep(t *testing.T) {
	p := newPolicy(t, retry.Options{Timeout: time.Hour})
	a := p.Start(t.Context())
	require.True(t, a.Next())
	release := a.Keep()
	a.Done(nil)
	require.NoError(t, a.Context().Err(), "the result lives on it")
	release()
	require.ErrorIs(t, a.Context().Err(), context.Canceled)

	b := new(retry.Policy).Start(t.Context())
	require.True(t, b.Next())
	b.Keep()()
	require.NoError(t, b.Context().Err(), "which is the caller's")
}

func TestFirstTryAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	budget, err := retry.NewBudget("a", nil)
	require.NoError(t, err)
	for name, p := range map[string]*retry.Policy{
		"nil": nil, "default": newPolicy(t, retry.Options{}), "budget": newPolicy(t, retry.Options{Budget: budget, Unsafe: true}),
	} {
		ctx := t.Context()
		work := func(context.Context) error { return nil }
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Do(ctx, work) }), name)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_, _ = retry.Value(ctx, p, func(context.Context) (int, error) { return 1, nil })
		}), name)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			a := p.Start(ctx)
			for a.Next() {
				a.Done(work(a.Context()))
			}
			_ = a.Err()
		}), name)
	}
}

func TestRetriesAllocateOnce(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	p := newPolicy(t, retry.Options{Attempts: 9, Delay: -1})
	ctx := t.Context()
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() {
		calls := 0
		_ = p.Do(ctx, func(context.Context) error {
			if calls++; calls < 9 {
				return errDown
			}
			return nil
		})
	}))
}
