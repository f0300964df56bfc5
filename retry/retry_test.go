package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

var errDown = errors.New("down")

func newPolicy(t *testing.T, o retry.Options) *retry.Policy {
	t.Helper()
	p, err := retry.New(&o)
	require.NoError(t, err)
	return p
}

// always returns work that counts its calls and fails.
func always(calls *int, err error) func(context.Context) error {
	return func(context.Context) error { *calls++; return err }
}

func requireError(t *testing.T, err error) *retry.Error {
	t.Helper()
	e, ok := errors.AsType[*retry.Error](err)
	require.True(t, ok, "%v", err)
	return e
}

func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, p := range []*retry.Policy{nil, new(retry.Policy), newPolicy(t, retry.Options{})} {
			calls, start := 0, time.Now()
			err := p.Do(t.Context(), always(&calls, errDown))
			require.EqualError(t, err, "retry: gave up after 3 attempts (out of attempts): down")
			require.ErrorIs(t, err, errDown)
			require.Equal(t, 3, calls)
			require.LessOrEqual(t, time.Since(start), 300*time.Millisecond)
			e := requireError(t, err)
			require.Equal(t, retry.OutOfAttempts, e.Stop)
			require.Equal(t, errDown, e.Last)
			require.Equal(t, time.Since(start), e.Elapsed)
			require.False(t, e.NotApplied())
			require.Zero(t, e.RetryAfter())
		}
	})
}

func TestDelaysDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		p := newPolicy(t, retry.Options{Attempts: 7, Jitter: retry.NoJitter, Trace: &retry.Trace{
			Wait: func(_ context.Context, w retry.Wait) { waits = append(waits, w.For/time.Millisecond) },
		}})
		start, calls := time.Now(), 0
		e := requireError(t, p.Do(t.Context(), always(&calls, errDown)))
		require.Equal(t, []time.Duration{100, 200, 400, 800, 1600, 2000}, waits)
		require.Equal(t, 5100*time.Millisecond, time.Since(start))
		require.Equal(t, time.Since(start), e.Elapsed)
	})
}

func TestValueOfTheLastAttempt(t *testing.T) {
	n := 0
	v, err := retry.Value(t.Context(), newPolicy(t, retry.Options{Delay: -1}), func(context.Context) (int, error) {
		n++
		return n, errDown
	})
	require.ErrorIs(t, err, errDown)
	require.Equal(t, 3, v)
}

// Where the wait cannot end in time the error comes at once, with the time that is left.
func TestImpossibleWait(t *testing.T) {
	for name, c := range map[string]struct {
		o    retry.Options
		ctx  time.Duration
		want string
		took time.Duration
	}{
		"deadline":         {retry.Options{Delay: 4 * time.Second}, 3 * time.Second, "gave up after 1 attempt (no time for the wait before the deadline): down", 0},
		"deadline exactly": {retry.Options{Delay: 3 * time.Second}, 3 * time.Second, "gave up after 1 attempt (no time for the wait before the deadline): down", 0},
		"second wait":      {retry.Options{Delay: time.Second}, 3 * time.Second, "gave up after 2 attempts (no time for the wait before the deadline): down", time.Second},
		"elapsed":          {retry.Options{Delay: 4 * time.Second, Elapsed: 3 * time.Second}, time.Hour, "gave up after 1 attempt (out of time): down", 0},
		"elapsed exactly":  {retry.Options{Delay: 3 * time.Second, Elapsed: 3 * time.Second, Attempts: 2}, time.Hour, "gave up after 2 attempts (out of attempts): down", 3 * time.Second},
		"unlimited":        {retry.Options{Delay: time.Second, MaxDelay: time.Second, Elapsed: 10 * time.Second, Attempts: -1}, time.Hour, "gave up after 11 attempts (out of time): down", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.o.Jitter = retry.NoJitter
				p := newPolicy(t, c.o)
				ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
				defer cancel()
				start, calls := time.Now(), 0
				err := p.Do(ctx, always(&calls, errDown))
				require.EqualError(t, err, "retry: "+c.want)
				require.ErrorIs(t, err, errDown)
				require.Equal(t, c.took, time.Since(start))
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errShutdown := errors.New("shutdown")
		p := newPolicy(t, retry.Options{Delay: time.Hour, Jitter: retry.NoJitter})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errShutdown) })
		start, calls := time.Now(), 0
		err := p.Do(ctx, always(&calls, errDown))
		require.EqualError(t, err, "retry: gave up after 1 attempt (context ended: shutdown): down")
		require.ErrorIs(t, err, errShutdown)
		require.ErrorIs(t, err, errDown)
		require.Equal(t, time.Second, time.Since(start))

		err = p.Do(ctx, always(&calls, errDown))
		require.EqualError(t, err, "retry: no attempt (context ended: shutdown)")
		require.Equal(t, 1, calls)
		require.Nil(t, requireError(t, err).Last)
		require.True(t, requireError(t, err).NotApplied())
	})
}

// At the instant at which both the wait and the context end, there is no attempt.
func TestContextEndsWithTheWait(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			p := newPolicy(t, retry.Options{Delay: time.Second, Jitter: retry.NoJitter})
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(time.Second, cancel).Stop()
			calls := 0
			err := p.Do(ctx, func(context.Context) error {
				if calls++; calls > 1 && ctx.Err() == nil {
					return nil // the timer of the wait came first, and the attempt is right
				}
				return errDown
			})
			if calls == 1 {
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errDown)
			}
			cancel()
		})
	}
}

func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, retry.Options{Timeout: time.Second, Delay: -1})
		calls, start := 0, time.Now()
		hang := func(ctx context.Context) error { calls++; <-ctx.Done(); return ctx.Err() }
		err := p.Do(t.Context(), hang)
		require.EqualError(t, err, "retry: gave up after 3 attempts (out of attempts): context deadline exceeded")
		require.Equal(t, 3*time.Second, time.Since(start))

		// The caller's own end stops, also where the deadline comes before the timeout.
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		calls = 0
		err = p.Do(ctx, func(attempt context.Context) error {
			return hang(attempt)
		})
		require.Equal(t, 2, calls)
		require.Equal(t, retry.ContextEnded, requireError(t, err).Stop)
	})
}

type ctxKey struct{}

// The context of an attempt is the caller's where nothing has to be added.
func TestPlainContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, o := range []retry.Options{{}, {Timeout: 2 * time.Hour}} {
		require.NoError(t, newPolicy(t, o).Do(ctx, func(attempt context.Context) error {
			require.True(t, ctx == attempt)
			return nil
		}))
	}
}

// What fn returns of contexts that are not the caller's is a failure like others.
func TestForeignCancellation(t *testing.T) {
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		calls := 0
		require.Error(t, newPolicy(t, retry.Options{Delay: -1}).Do(t.Context(), always(&calls, err)))
		require.Equal(t, 3, calls)
	}
}

func TestAttemptEndsItsContext(t *testing.T) {
	for name, leave := range map[string]func(){
		"return": func() {}, "panic": func() { panic("p") },
	} {
		var attempt context.Context
		func() {
			defer func() { _ = recover() }()
			_ = newPolicy(t, retry.Options{Timeout: time.Hour}).Do(t.Context(), func(ctx context.Context) error {
				attempt = ctx
				leave()
				return nil
			})
		}()
		require.ErrorIs(t, attempt.Err(), context.Canceled, name)
	}
}

func TestGoexitPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which would find the timer of a context
		left := true
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = newPolicy(t, retry.Options{Timeout: time.Hour}).Do(t.Context(), func(context.Context) error {
				goexit()
				return nil
			})
			left = false
		}()
		<-done
		require.True(t, left)
	})
}

func TestErrorTree(t *testing.T) {
	calls := 0
	err := newPolicy(t, retry.Options{Delay: -1}).Do(t.Context(), always(&calls, fmt.Errorf("read: %w", io.ErrUnexpectedEOF)))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, requireError(t, err).Unwrap(), 1)
	require.Empty(t, new(retry.Error).Unwrap())
}
