package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/retry"
)

// Errors that speak by methods.
type (
	notApplied struct{ error }
	unknown    struct{ error }
	later      struct {
		error
		d time.Duration
	}
	refused struct { // as an open breaker does
		error
		d time.Duration
	}
)

func (notApplied) NotApplied() bool             { return true }
func (unknown) UnknownOutcome() bool            { return true }
func (e later) RetryAfter() time.Duration       { return e.d }
func (refused) NotApplied() bool                { return true }
func (e refused) RetryAfter() time.Duration     { return e.d }
func (e notApplied) Unwrap() error              { return e.error }
func classify(v retry.Verdict) retry.Classifier { return func(error) retry.Verdict { return v } }

func TestVerdicts(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("outer: %w", fmt.Errorf("call: %w", err)) }
	stop := classify(retry.Verdict{Decision: retry.Stop, Reason: "404"})
	again := classify(retry.Verdict{Decision: retry.Retry})
	for name, c := range map[string]struct {
		o        retry.Options
		err      error
		stop     retry.StopCause
		attempts int
		took     time.Duration
	}{
		"plain":                      {retry.Options{}, errDown, retry.OutOfAttempts, 3, 300},
		"permanent":                  {retry.Options{}, retry.Permanent(errDown), retry.PermanentError, 1, 0},
		"permanent, wrapped":         {retry.Options{}, wrap(retry.Permanent(errDown)), retry.PermanentError, 1, 0},
		"permanent over classifier":  {retry.Options{Classify: again}, retry.Permanent(errDown), retry.PermanentError, 1, 0},
		"after":                      {retry.Options{}, retry.After(errDown, time.Second), retry.OutOfAttempts, 3, 2000},
		"after over classifier":      {retry.Options{Classify: stop}, retry.After(errDown, time.Second), retry.OutOfAttempts, 3, 2000},
		"after, less than the delay": {retry.Options{}, retry.After(errDown, time.Millisecond), retry.OutOfAttempts, 3, 300},
		"after, negative":            {retry.Options{}, retry.After(errDown, -time.Hour), retry.OutOfAttempts, 3, 300},
		"after, at the limit":        {retry.Options{}, retry.After(errDown, 30*time.Second), retry.OutOfAttempts, 3, 60000},
		"after, too long":            {retry.Options{}, retry.After(errDown, 30*time.Second+1), retry.RetryAfterTooLong, 1, 0},
		"after, for ever":            {retry.Options{}, later{errDown, 1<<63 - 1}, retry.RetryAfterTooLong, 1, 0},
		"after, minus for ever":      {retry.Options{}, later{errDown, -1 << 63}, retry.OutOfAttempts, 3, 300},
		"retry after":                {retry.Options{}, wrap(later{errDown, time.Second}), retry.OutOfAttempts, 3, 2000},
		"classified stop":            {retry.Options{Classify: stop}, errDown, retry.PermanentError, 1, 0},
		"classified after":           {retry.Options{Classify: classify(retry.Verdict{After: time.Second})}, errDown, retry.OutOfAttempts, 3, 2000},
		"classified after, negative": {retry.Options{Classify: classify(retry.Verdict{After: -1})}, errDown, retry.OutOfAttempts, 3, 300},
		"first":                      {retry.Options{Classify: retry.First(nil, classify(retry.Verdict{}), stop, again)}, errDown, retry.PermanentError, 1, 0},
		"open":                       {retry.Options{}, wrap(refused{errDown, time.Second}), retry.BreakerOpen, 1, 0},
		"open, no more":              {retry.Options{}, refused{errDown, 0}, retry.OutOfAttempts, 3, 300},
		"open, awaited":              {retry.Options{AwaitOpen: true}, refused{errDown, time.Second}, retry.OutOfAttempts, 3, 2000},
		"open, awaited too long":     {retry.Options{AwaitOpen: true}, refused{errDown, time.Minute}, retry.RetryAfterTooLong, 1, 0},
		"open, but classified":       {retry.Options{Classify: again}, refused{errDown, time.Second}, retry.OutOfAttempts, 3, 2000},
		"unsafe":                     {retry.Options{Unsafe: true}, errDown, retry.UnsafeRepeat, 1, 0},
		"unsafe, not applied":        {retry.Options{Unsafe: true}, wrap(notApplied{errDown}), retry.OutOfAttempts, 3, 300},
		"unsafe, both":               {retry.Options{Unsafe: true}, notApplied{unknown{errDown}}, retry.UnsafeRepeat, 1, 0},
		"unsafe, unknown":            {retry.Options{Unsafe: true}, unknown{errDown}, retry.UnsafeRepeat, 1, 0},
		"unsafe, classified":         {retry.Options{Unsafe: true, Classify: classify(retry.Verdict{Applied: retry.NotApplied})}, errDown, retry.OutOfAttempts, 3, 300},
		"unsafe, applied":            {retry.Options{Unsafe: true, Classify: classify(retry.Verdict{Applied: retry.WasApplied})}, notApplied{errDown}, retry.UnsafeRepeat, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.o.Jitter = retry.NoJitter
				calls, start := 0, time.Now()
				e := requireError(t, newPolicy(t, c.o).Do(t.Context(), always(&calls, c.err)))
				require.Equal(t, c.stop, e.Stop)
				require.Equal(t, c.attempts, e.Attempts)
				require.Equal(t, c.attempts, calls)
				require.Equal(t, c.took*time.Millisecond, time.Since(start))
			})
		})
	}
}

func TestMarks(t *testing.T) {
	require.NoError(t, retry.Permanent(nil))
	require.NoError(t, retry.After(nil, time.Second))
	calls := 0
	e := requireError(t, retry.Do(t.Context(), nil, always(&calls, retry.Permanent(errDown))))
	require.Equal(t, errDown, e.Last)
	wrapped := fmt.Errorf("call: %w", retry.Permanent(errDown))
	e = requireError(t, retry.Do(t.Context(), nil, always(&calls, wrapped)))
	require.Equal(t, wrapped, e.Last)
	require.EqualError(t, e, "retry: gave up after 1 attempt (permanent): call: down")
}

// A wait that was asked for is never shorter, and those who were told the same do not come at the same time.
func TestAfterIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, retry.Options{Attempts: 2})
		instants := map[time.Duration]int{}
		start := time.Now()
		ended := make(chan time.Duration)
		for range 1000 {
			go func() {
				calls := 0
				_ = p.Do(t.Context(), always(&calls, retry.After(errDown, 30*time.Second)))
				ended <- time.Since(start)
			}()
		}
		for range 1000 {
			d := <-ended
			require.GreaterOrEqual(t, d, 30*time.Second)
			require.LessOrEqual(t, d, 33*time.Second)
			instants[d/time.Millisecond]++
		}
		require.Greater(t, len(instants), 500)
	})
}

// For an open breaker the wait is exact: whoever comes later than the others may find no probe left.
func TestAwaitOpenIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, retry.Options{Attempts: 2, AwaitOpen: true, Delay: time.Minute})
		start, calls := time.Now(), 0
		e := requireError(t, p.Do(t.Context(), always(&calls, refused{errDown, 3 * time.Second})))
		require.Equal(t, 3*time.Second, time.Since(start))
		require.True(t, e.NotApplied())
		require.Equal(t, 3*time.Second, e.RetryAfter())
		time.Sleep(time.Second)
		require.Equal(t, 2*time.Second, e.RetryAfter())
		time.Sleep(time.Hour)
		require.Zero(t, e.RetryAfter())
	})
}

// A policy around another goes by what that has found.
func TestInnerErrors(t *testing.T) {
	outer := func(o retry.Options, inner error) (int, retry.StopCause) {
		calls := 0
		o.Delay = -1
		e := requireError(t, newPolicy(t, o).Do(t.Context(), always(&calls, inner)))
		return calls, e.Stop
	}
	inner := func(o retry.Options, err error) error {
		calls := 0
		o.Delay = -1
		return newPolicy(t, o).Do(t.Context(), always(&calls, err))
	}
	for name, c := range map[string]struct {
		o     retry.Options
		inner error
		calls int
		stop  retry.StopCause
	}{
		"attempts":          {retry.Options{}, inner(retry.Options{}, errDown), 3, retry.OutOfAttempts},
		"permanent":         {retry.Options{}, inner(retry.Options{}, retry.Permanent(errDown)), 1, retry.PermanentError},
		"unsafe":            {retry.Options{}, inner(retry.Options{Unsafe: true}, errDown), 1, retry.PermanentError},
		"open":              {retry.Options{}, inner(retry.Options{}, refused{errDown, time.Second}), 1, retry.BreakerOpen},
		"refused, not open": {retry.Options{Unsafe: true}, inner(retry.Options{}, notApplied{errDown}), 3, retry.OutOfAttempts},
		"too long":          {retry.Options{}, inner(retry.Options{}, later{errDown, time.Hour}), 1, retry.RetryAfterTooLong},
	} {
		calls, stop := outer(c.o, c.inner)
		require.Equal(t, c.calls, calls, name)
		require.Equal(t, c.stop, stop, name)
	}
}

// NotApplied speaks of all attempts.
func TestNotAppliedOfAll(t *testing.T) {
	n := 0
	mixed := func(context.Context) error {
		if n++; n == 2 {
			return errDown
		}
		return notApplied{errDown}
	}
	require.False(t, requireError(t, newPolicy(t, retry.Options{Delay: -1}).Do(t.Context(), mixed)).NotApplied())
}

func TestDepth(t *testing.T) {
	for nested, want := range map[bool]int{false: 5, true: 9} {
		p := newPolicy(t, retry.Options{Delay: -1, Nested: nested})
		calls, deepest := 0, 0
		err := p.Do(t.Context(), func(ctx context.Context) error {
			return p.Do(ctx, func(ctx context.Context) error {
				calls++
				deepest = max(deepest, retry.Depth(ctx))
				return errDown
			})
		})
		require.Equal(t, want, calls)
		if nested {
			require.Equal(t, 2, deepest)
			continue
		}
		require.Equal(t, 1, deepest)
		require.EqualError(t, err, "retry: gave up after 3 attempts (out of attempts): "+
			"retry: gave up after 1 attempt (a layer above retries): down")
	}
	require.Zero(t, retry.Depth(t.Context()))
}

// The mark does not stand between a context and those that are derived from it.
func TestMarkedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), ctxKey{}, "v"))
		p := newPolicy(t, retry.Options{Delay: -1, Timeout: time.Minute})
		calls := 0
		err := p.Do(ctx, func(ctx context.Context) error {
			if calls++; calls == 1 {
				return errDown
			}
			require.Equal(t, "v", ctx.Value(ctxKey{}))
			child, stop := context.WithCancel(ctx)
			defer stop()
			cancel(errDown)
			<-child.Done()
			return context.Cause(child)
		})
		require.Equal(t, 2, calls)
		require.Equal(t, retry.ContextEnded, requireError(t, err).Stop)
	})
}

// Errors that are joined stand for several pieces of work: one that was not done proves nothing of the others.
func TestAppliedOf(t *testing.T) {
	not, may := notApplied{errDown}, unknown{errDown}
	inner := func(o retry.Options, err error) error {
		p, perr := retry.New(&o)
		require.NoError(t, perr)
		return p.Do(t.Context(), func(context.Context) error { return err })
	}
	given := inner(retry.Options{Attempts: 1}, not)
	for name, c := range map[string]struct {
		err  error
		want retry.Applied
	}{
		"nil":                       {nil, retry.Unknown},
		"silent":                    {errDown, retry.Unknown},
		"not applied":               {not, retry.NotApplied},
		"wrapped":                   {fmt.Errorf("call: %w", not), retry.NotApplied},
		"unknown":                   {may, retry.Unknown},
		"unknown around":            {unknown{not}, retry.Unknown},
		"unknown within":            {notApplied{may}, retry.Unknown},
		"joined with a silent one":  {errors.Join(not, errDown), retry.Unknown},
		"joined after a silent one": {errors.Join(errDown, not), retry.Unknown},
		"joined with an unknown":    {errors.Join(not, may), retry.Unknown},
		"joined, all":               {errors.Join(not, fmt.Errorf("b: %w", not), not), retry.NotApplied},
		"joined, one silent":        {errors.Join(not, not, errDown), retry.Unknown},
		"joined, one silent within": {errors.Join(not, errors.Join(errDown, not)), retry.Unknown},
		"of a policy":               {given, retry.NotApplied},
		"of a policy, and silent":   {errors.Join(given, errDown), retry.Unknown},
		"of a policy, and unknown":  {errors.Join(given, fmt.Errorf("b: %w", may)), retry.Unknown},
		"of two policies":           {errors.Join(given, inner(retry.Options{Attempts: 1}, errDown)), retry.Unknown},
	} {
		require.Equal(t, c.want, retry.AppliedOf(c.err), name)
	}
}

func TestJoinedErrors(t *testing.T) {
	open := refused{errDown, time.Second}
	for name, c := range map[string]struct {
		err      error
		stop     retry.StopCause
		attempts int
	}{
		"permanent after another policy's": {errors.Join(gaveUp(t, errDown), fmt.Errorf("b: %w", retry.Permanent(errDown))), retry.PermanentError, 1},
		"permanent before it":              {errors.Join(retry.Permanent(errDown), gaveUp(t, errDown)), retry.PermanentError, 1},
		"one breaker of two":               {errors.Join(errDown, open), retry.OutOfAttempts, 3},
		"both breakers":                    {errors.Join(open, open), retry.BreakerOpen, 1},
		"another policy's, by After":       {retry.After(gaveUp(t, retry.Permanent(errDown)), 0), retry.OutOfAttempts, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				e := requireError(t, newPolicy(t, retry.Options{}).Do(t.Context(), always(&calls, c.err)))
				require.Equal(t, c.stop, e.Stop)
				require.Equal(t, c.attempts, calls)
			})
		})
	}
}

// gaveUp returns the error of another policy.
func gaveUp(t *testing.T, err error) error {
	t.Helper()
	return newPolicy(t, retry.Options{Attempts: 1}).Do(t.Context(), func(context.Context) error { return err })
}

// An error that says that its outcome is unknown is believed over a classifier, which knows its text only.
func TestUnknownOutcomeWins(t *testing.T) {
	calls := 0
	classify := func(error) retry.Verdict { return retry.Verdict{Decision: retry.Retry, Applied: retry.NotApplied} }
	e := requireError(t, newPolicy(t, retry.Options{Unsafe: true, Delay: -1, Classify: classify}).
		Do(t.Context(), always(&calls, unknown{errDown})))
	require.Equal(t, retry.UnsafeRepeat, e.Stop)
	require.Equal(t, 1, calls)
}

// A context that ends while a hook looks at a failure ends the call, also where there is no wait.
func TestContextEndsWithoutAWait(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutdown")
	calls := 0
	p := newPolicy(t, retry.Options{Delay: -1, Trace: &retry.Trace{Wait: func(context.Context, retry.Wait) { cancel(why) }}})
	e := requireError(t, p.Do(ctx, always(&calls, errDown)))
	require.Equal(t, retry.ContextEnded, e.Stop)
	require.Equal(t, 1, calls)
	require.ErrorIs(t, e, why)
	require.ErrorIs(t, e, context.Canceled, "the context's own error is there too")
	require.ErrorIs(t, e, errDown)
}
