package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/breaker"
)

var errDown = errors.New("down")

func newBreaker(t *testing.T, o *breaker.Options) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New("billing", o)
	require.NoError(t, err)
	return b
}

// bubble runs fn under synctest with a breaker made inside: it takes its time base there.
func bubble(t *testing.T, o *breaker.Options, fn func(t *testing.T, b *breaker.Breaker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newBreaker(t, o)) })
}

// plain is a breaker whose open times are exact.
func plain(r breaker.Rules) *breaker.Options { return &breaker.Options{Rules: r, Jitter: -1} }

func do(b *breaker.Breaker, err error) error {
	return b.Do(context.Background(), func(context.Context) error { return err })
}

// calls makes n calls with that result, all of which must be let through.
func calls(t *testing.T, b *breaker.Breaker, n int, result error) {
	t.Helper()
	for range n {
		require.Equal(t, result, do(b, result))
	}
}

func requireOpen(t *testing.T, b *breaker.Breaker) *breaker.OpenError {
	t.Helper()
	err := b.Do(t.Context(), func(context.Context) error {
		require.Fail(t, "a refused call was made")
		return nil
	})
	require.ErrorIs(t, err, breaker.ErrOpen)
	open, ok := errors.AsType[*breaker.OpenError](err)
	require.True(t, ok)
	require.True(t, open.NotApplied())
	return open
}

func TestFailureRate(t *testing.T) {
	bubble(t, plain(breaker.Rules{}), func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 10, nil)
		calls(t, b, 9, errDown)
		require.Equal(t, breaker.Closed, b.State(), "9 of 19")
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Open, b.State(), "10 of 20 is half, at the least volume")
		e := requireOpen(t, b)
		require.Equal(t, 5*time.Second, e.RetryAfter())
		require.Equal(t, breaker.FailureRate, e.Cause)
		require.EqualError(t, e, `breaker: "billing" is open: failure rate`)
	})
}

func TestMinimumVolume(t *testing.T) {
	bubble(t, plain(breaker.Rules{}), func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 19, errDown)
		require.Equal(t, breaker.Closed, b.State())
		calls(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State(), "a success opens nothing")
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestConsecutive(t *testing.T) {
	bubble(t, plain(breaker.Rules{FailureRate: -1, Consecutive: 3}), func(t *testing.T, b *breaker.Breaker) {
		for range 5 {
			calls(t, b, 2, errDown)
			calls(t, b, 1, nil)
		}
		calls(t, b, 2, errDown)
		require.Equal(t, 2, b.Snapshot().Consecutive)
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Consecutive, b.Snapshot().Cause)
	})
}

func TestSlowRate(t *testing.T) {
	slowly := func(b *breaker.Breaker, d time.Duration) {
		_ = b.Do(context.Background(), func(context.Context) error { time.Sleep(d); return nil })
	}
	o := plain(breaker.Rules{SlowAfter: time.Second, MinCalls: 4, Window: time.Minute})
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		slowly(b, time.Second) // at the very start of the clock, and not slow
		slowly(b, time.Second+1)
		slowly(b, 0)
		require.EqualValues(t, 1, b.Snapshot().Slow)
		require.Equal(t, breaker.Closed, b.State())
		slowly(b, 2*time.Second)
		require.Equal(t, breaker.SlowRate, b.Snapshot().Cause, "2 of 4")

		time.Sleep(5 * time.Second)
		slowly(b, 2*time.Second)
		require.Equal(t, breaker.ProbeFailed, b.Snapshot().Cause, "a slow probe has failed")
	})
	o.Rules.SlowRate = -1
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		for range 10 {
			slowly(b, 2*time.Second)
		}
		require.Equal(t, breaker.Closed, b.State())
	})
}

// A call that is slow at the first instant of the clock is seen as such.
func TestSlowFromTheStart(t *testing.T) {
	bubble(t, plain(breaker.Rules{SlowAfter: time.Second, MinCalls: 1}), func(t *testing.T, b *breaker.Breaker) {
		p, err := b.Allow()
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		p.Done(nil)
		require.Equal(t, breaker.SlowRate, b.Snapshot().Cause)
	})
}

func TestInFlight(t *testing.T) {
	bubble(t, plain(breaker.Rules{InFlight: 3}), func(t *testing.T, b *breaker.Breaker) {
		hang := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = b.Do(context.Background(), func(context.Context) error { <-hang; return nil }) })
		}
		synctest.Wait()
		require.Equal(t, 3, b.Snapshot().InFlight)
		require.Equal(t, breaker.Closed, b.State(), "as many as there may be")
		require.Equal(t, breaker.InFlight, requireOpen(t, b).Cause)
		close(hang)
		wg.Wait()
		time.Sleep(5 * time.Second)
		calls(t, b, 1, nil)
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Snapshot().InFlight, "what began before does not count")
		for range 10 {
			calls(t, b, 1, nil)
			p, err := b.Allow()
			require.NoError(t, err)
			p.Cancel()
			p.Done(errDown)
		}
		require.Zero(t, b.Snapshot().InFlight)
	})
}

// Pitfall: with a time base outside the bubble, times were negative and nothing ever opened.
func TestTimeBase(t *testing.T) {
	time.Sleep(time.Millisecond)
	bubble(t, plain(breaker.Rules{}), func(t *testing.T, b *breaker.Breaker) {
		require.True(t, b.Snapshot().Since.Equal(time.Now()))
		calls(t, b, 20, errDown)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestWindowSlides(t *testing.T) {
	bubble(t, plain(breaker.Rules{Window: 8 * time.Second}), func(t *testing.T, b *breaker.Breaker) {
		time.Sleep(time.Second - 1)
		calls(t, b, 19, errDown) // in the last nanosecond of a step
		time.Sleep(7 * time.Second)
		require.EqualValues(t, 19, b.Snapshot().Failures, "seven steps later they are in the window")
		time.Sleep(time.Nanosecond)
		require.Zero(t, b.Snapshot().Failures, "eight steps later they are not")
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Closed, b.State())

		time.Sleep(time.Hour)
		require.Zero(t, b.Snapshot().Failures, "idle for long")
		calls(t, b, 19, errDown)
		calls(t, b, 1, errDown)
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestCancelStorm(t *testing.T) {
	bubble(t, plain(breaker.Rules{}), func(t *testing.T, b *breaker.Breaker) {
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			err := b.Do(ctx, func(ctx context.Context) error {
				cancel()
				if i%2 == 0 {
					return fmt.Errorf("write: %w", errDown) // what was cancelled fails in many ways
				}
				return ctx.Err()
			})
			require.Error(t, err)
			require.NotErrorIs(t, err, breaker.ErrOpen)
		}
		require.Equal(t, breaker.Closed, b.State(), "cancellation by the caller is neutral")
		require.Zero(t, b.Snapshot().Failures+b.Snapshot().Successes)

		for range 20 {
			require.ErrorIs(t, do(b, context.Canceled), context.Canceled)
		}
		require.Equal(t, breaker.Open, b.State(), "a cancellation that is not the caller's is a failure")
	})
}

func TestDeadlineStorm(t *testing.T) {
	bubble(t, plain(breaker.Rules{Window: time.Minute}), func(t *testing.T, b *breaker.Breaker) {
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestClassify(t *testing.T) {
	errMissing := errors.New("missing")
	o := plain(breaker.Rules{FailureRate: -1, Consecutive: 1})
	o.Classify = func(err error) breaker.Outcome {
		switch {
		case err == nil, errors.Is(err, context.Canceled):
			panic("not to be asked about")
		case errors.Is(err, errMissing):
			return breaker.Success
		case errors.Is(err, errDown):
			return breaker.Ignore
		}
		return 77
	}
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		calls(t, b, 5, errMissing)
		calls(t, b, 5, errDown)
		calls(t, b, 5, nil)
		p, err := b.Allow()
		require.NoError(t, err)
		p.Done(fmt.Errorf("read: %w", context.Canceled))
		require.Equal(t, breaker.Closed, b.State())
		_ = do(b, errors.New("other"))
		require.Equal(t, breaker.Open, b.State(), "an unknown outcome is a failure")
	})
	o.Classify = func(error) breaker.Outcome { panic("bad") }
	bubble(t, o, func(t *testing.T, b *breaker.Breaker) {
		require.PanicsWithValue(t, "bad", func() { _ = do(b, errDown) })
		require.Equal(t, breaker.Open, b.State())
		b.Reset("")
		p, err := b.Allow()
		require.NoError(t, err)
		require.PanicsWithValue(t, "bad", func() { p.Done(errDown) })
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestPanicAndGoexit(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("oh") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, plain(breaker.Rules{FailureRate: -1, Consecutive: 1}), func(t *testing.T, b *breaker.Breaker) {
				run := func() {
					var wg sync.WaitGroup
					wg.Add(1)
					go func() {
						defer wg.Done()
						defer func() { _ = recover() }()
						_ = b.Do(context.Background(), func(context.Context) error { end(); return nil })
					}()
					wg.Wait()
				}
				run()
				require.Equal(t, breaker.Consecutive, b.Snapshot().Cause)
				time.Sleep(5 * time.Second)
				run()
				require.Equal(t, breaker.ProbeFailed, b.Snapshot().Cause, "the probe's place is free again")
				time.Sleep(10 * time.Second)
				calls(t, b, 1, nil)
				require.Equal(t, breaker.Closed, b.State())
			})
		})
	}
}

func TestPanicPasses(t *testing.T) {
	b := newBreaker(t, nil)
	require.PanicsWithValue(t, "oh", func() {
		_ = b.Do(t.Context(), func(context.Context) error { panic("oh") })
	})
}

func TestValue(t *testing.T) {
	b := newBreaker(t, &breaker.Options{Rules: breaker.Rules{Consecutive: 1}})
	n, err := breaker.Value(t.Context(), b, func(context.Context) (int, error) { return 7, nil })
	require.NoError(t, err)
	require.Equal(t, 7, n)
	s, err := breaker.Value(t.Context(), b, func(context.Context) (string, error) { return "partial", errDown })
	require.ErrorIs(t, err, errDown)
	require.Equal(t, "partial", s, "the result comes with its error")
	n, err = breaker.Value(t.Context(), b, func(context.Context) (int, error) { return 7, nil })
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.Zero(t, n)
}

func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	ok := func(context.Context) error { return nil }
	fail := func(context.Context) error { return errDown }
	all := breaker.Rules{MinCalls: 1e9, Consecutive: 1e9, SlowAfter: time.Hour, InFlight: 10}
	b := newBreaker(t, &breaker.Options{Rules: all})
	open := newBreaker(t, nil)
	open.ForceOpen("test")
	waiting := newBreaker(t, nil)
	require.NoError(t, waiting.Trip("test", time.Hour))
	set, err := breaker.NewSet(nil)
	require.NoError(t, err)
	for name, f := range map[string]func(){
		"success":   func() { _ = b.Do(ctx, ok) },
		"failure":   func() { _ = b.Do(ctx, fail) },
		"refusal":   func() { _ = waiting.Do(ctx, ok) },
		"forced":    func() { _ = open.Do(ctx, ok) },
		"set":       func() { _ = set.Do(ctx, "host", ok) },
		"permit":    func() { p, _ := b.Allow(); p.Done(nil) },
		"no permit": func() { p, _ := open.Allow(); p.Done(nil) },
		"value": func() {
			n := 1
			_, _ = breaker.Value(ctx, b, func(context.Context) (int, error) { return n, nil })
		},
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}
