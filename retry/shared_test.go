package retry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/membudget"
)

// away is a pool whose store can be away, slow, or wrong.
type away struct {
	retry.Pool
	fails, hangs atomic.Bool
	lies         int
	takes, gives atomic.Int64
}

func (p *away) Take(ctx context.Context, b retry.Bucket, n int) (int, error) {
	p.takes.Add(1)
	if p.hangs.Load() {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	if p.fails.Load() {
		return 0, errDown
	}
	got, err := p.Pool.Take(ctx, b, n)
	return got + p.lies, err
}

func (p *away) Give(ctx context.Context, b retry.Bucket, n int) error {
	p.gives.Add(1)
	if p.hangs.Load() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if p.fails.Load() {
		return errDown
	}
	return p.Pool.Give(ctx, b, n)
}

func newShared(t *testing.T, p retry.Pool, o *retry.SharedOptions) *retry.SharedBudget {
	t.Helper()
	s, err := retry.NewSharedBudget(p, "billing", o)
	require.NoError(t, err)
	require.Equal(t, "billing", s.Name())
	return s
}

func TestSharedWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &away{Pool: membudget.New()}
		s := newShared(t, p, nil)
		synctest.Wait()
		require.Equal(t, 10., s.Level())
		p.fails.Store(true)
		require.Equal(t, 10, drain(s), "what is held is spent, then there is no more")
		start := time.Now()
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			require.False(t, s.Withdraw())
		}
		require.LessOrEqual(t, p.takes.Load(), int64(20), "a store that is away is asked rarely")
		require.Equal(t, 10*time.Second, time.Since(start), "nobody waited")
		p.fails.Store(false)
		time.Sleep(2 * time.Second)
		require.True(t, s.Withdraw())
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestSharedWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &away{Pool: membudget.New()}
		p.hangs.Store(true)
		s := newShared(t, p, &retry.SharedOptions{Timeout: time.Minute})
		require.False(t, s.Withdraw())
		start := time.Now()
		require.NoError(t, s.Close(t.Context()), "nothing is held")
		require.Zero(t, time.Since(start))
		require.False(t, s.Withdraw())
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestSharedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &away{Pool: membudget.New()}
		s := newShared(t, p, nil)
		synctest.Wait()
		p.fails.Store(true)
		err := s.Close(t.Context())
		require.EqualError(t, err, `retry: give 10 tokens back to budget "billing": down`)
		require.Equal(t, err, s.Close(t.Context()))

		p.fails.Store(false)
		s = newShared(t, p, nil)
		synctest.Wait()
		p.hangs.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, s.Close(t.Context()), context.DeadlineExceeded, "of the pool, after its Timeout")
		require.Equal(t, 5*time.Second, time.Since(start))
		var none context.Context
		require.ErrorIs(t, s.Close(none), retry.ErrInvalid)
	})
}

// A process that was busy gives back what it does not need any more.
func TestSharedGivesBackWithAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &away{Pool: membudget.New()}
		s := newShared(t, p, &retry.SharedOptions{Max: 10_000, PerSecond: -1})
		granted := 0
		for range 3000 {
			if s.Withdraw() {
				granted++
			}
			time.Sleep(time.Millisecond)
		}
		require.Greater(t, granted, 2900)
		require.LessOrEqual(t, s.Level(), 1000.)
		time.Sleep(40 * time.Second)
		require.LessOrEqual(t, s.Level(), 100.)
		require.LessOrEqual(t, p.takes.Load()+p.gives.Load(), int64(granted/100))
		held := int(s.Level())
		rest, err := p.Pool.Take(t.Context(), retry.Bucket{Name: "billing", Max: 10_000}, 10_000)
		require.NoError(t, err)
		require.Equal(t, 10_000, granted+held+rest, "none is lost and none is made")
		calls := p.takes.Load() + p.gives.Load()
		time.Sleep(time.Hour)
		require.Equal(t, calls, p.takes.Load()+p.gives.Load(), "who is idle does not ask")
		require.NoError(t, s.Close(t.Context()))
	})
}

// Whatever a pool says, no more is held than was asked for.
func TestSharedTrustsNoNumber(t *testing.T) {
	for _, lies := range []int{1, 1 << 40, -1 << 40} {
		synctest.Test(t, func(t *testing.T) {
			s := newShared(t, &away{Pool: membudget.New(), lies: lies}, nil)
			synctest.Wait()
			require.Zero(t, s.Level())
			require.False(t, s.Withdraw())
			require.NoError(t, s.Close(t.Context()))
		})
	}
}

func TestSharedSmallest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared(t, membudget.New(), &retry.SharedOptions{Max: 1, PerSecond: 1})
		synctest.Wait()
		require.True(t, s.Withdraw())
		require.False(t, s.Withdraw())
		s.Deposit()
		time.Sleep(4 * time.Second)
		require.True(t, s.Withdraw(), "a token has come with time")
		require.NoError(t, s.Close(t.Context()))
	})
}

// The budget of a policy may be shared like any other.
func TestPolicyUsesSharedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared(t, membudget.New(), &retry.SharedOptions{Max: 10, PerSecond: -1, Chunk: 10})
		synctest.Wait()
		p := newPolicy(t, retry.Options{Attempts: 100, Budget: s, Elapsed: time.Hour})
		calls := 0
		err := p.Do(t.Context(), always(&calls, errDown))
		require.ErrorContains(t, err, `local retry budget "billing" is empty`)
		require.True(t, errors.Is(err, errDown))
		require.Equal(t, 11, calls)
		require.NoError(t, s.Close(t.Context()))
	})
}
