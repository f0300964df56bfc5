package retry_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

func newBudget(t *testing.T, o retry.BudgetOptions) *retry.TokenBudget {
	t.Helper()
	b, err := retry.NewBudget("billing", &o)
	require.NoError(t, err)
	require.Equal(t, "billing", b.Name())
	return b
}

func drain(b retry.Budget) (n int) {
	for b.Withdraw() {
		n++
	}
	return n
}

func TestBudgetRefillsOnSuccess(t *testing.T) {
	b := newBudget(t, retry.BudgetOptions{Max: 10, Ratio: 0.25, PerSecond: -1})
	require.Equal(t, 10, drain(b))
	require.Zero(t, b.Level())
	for range 7 {
		b.Deposit()
	}
	require.Equal(t, 1.75, b.Level())
	require.Equal(t, 1, drain(b))
	for range 1000 {
		b.Deposit()
	}
	require.Equal(t, 10., b.Level())
}

func TestBudgetRefillsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, retry.BudgetOptions{Max: 10, Ratio: -1, PerSecond: 2})
		require.Equal(t, 10, drain(b))
		b.Deposit()
		time.Sleep(499 * time.Millisecond)
		require.False(t, b.Withdraw())
		time.Sleep(time.Millisecond)
		require.Equal(t, 1, drain(b))
		for range 1000 { // looking often loses nothing
			time.Sleep(time.Millisecond)
			require.False(t, b.Level() > 2)
		}
		require.Equal(t, 2, drain(b))
		for _, idle := range []time.Duration{
			time.Hour, 24 * 24 * time.Hour, 25 * 24 * time.Hour, 49 * 24 * time.Hour, 50 * 24 * time.Hour, 400 * 24 * time.Hour,
		} {
			time.Sleep(idle)
			require.Equal(t, 10, drain(b), "%v", idle)
		}
	})
}

func TestBudgetIsNeverOverspent(t *testing.T) {
	const workers, each = 8, 20_000
	b := newBudget(t, retry.BudgetOptions{Max: 50, Ratio: 0.1, PerSecond: -1})
	var granted, deposits atomic.Int64
	var negative atomic.Bool
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for n := range each {
				if (n+i)%3 == 0 {
					b.Deposit()
					deposits.Add(1)
				} else if b.Withdraw() {
					granted.Add(1)
				}
				if l := b.Level(); l < 0 || l > 50 {
					negative.Store(true)
				}
			}
		})
	}
	wg.Wait()
	require.False(t, negative.Load())
	require.LessOrEqual(t, float64(granted.Load()), 50+float64(deposits.Load())*0.1+0.001)
}

// Only what is retried takes a token, and each success brings its part.
func TestPolicyUsesBudget(t *testing.T) {
	b := newBudget(t, retry.BudgetOptions{Max: 10, Ratio: 0.5, PerSecond: -1})
	p := newPolicy(t, retry.Options{Delay: -1, Budget: b})
	calls := 0
	for _, err := range []error{retry.Permanent(errDown), refused{errDown, time.Second}, retry.After(errDown, time.Hour)} {
		require.Error(t, p.Do(t.Context(), always(&calls, err)))
	}
	late, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	slow := newPolicy(t, retry.Options{Delay: time.Hour, Jitter: retry.NoJitter, Budget: b})
	require.Equal(t, retry.PastDeadline, requireError(t, slow.Do(late, always(&calls, errDown))).Stop)
	require.Equal(t, 10., b.Level())

	require.Error(t, p.Do(t.Context(), always(&calls, errDown)))
	require.Equal(t, 8., b.Level(), "two retries of three attempts")
	require.NoError(t, p.Do(t.Context(), always(&calls, nil)))
	require.Equal(t, 8.5, b.Level())

	drain(b)
	calls = 0
	err := p.Do(t.Context(), always(&calls, errDown))
	require.EqualError(t, err, `retry: gave up after 1 attempt (local retry budget "billing" is empty): down`)
	require.Equal(t, 1, calls)
	require.Equal(t, retry.BudgetEmpty, requireError(t, err).Stop)
}
