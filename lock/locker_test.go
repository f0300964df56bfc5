package lock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

func TestDo(t *testing.T) {
	broken := errors.New("broken")
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		free := func() {
			t.Helper()
			synctest.Wait()
			lease, err := l.TryAcquire(t.Context(), "a")
			require.NoError(t, err, "Do must release")
			require.NoError(t, lease.Release())
		}
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
		defer cancel()
		require.NoError(t, l.Do(ctx, "a", func(ctx context.Context, lease *lock.Lease) error {
			require.Equal(t, "value", ctx.Value(key{}))
			_, ok := ctx.Deadline()
			require.True(t, ok, "the deadline of the caller is seen inside")
			return ctx.Err()
		}))
		free()
		require.ErrorIs(t, l.Do(ctx, "a", func(context.Context, *lock.Lease) error { return broken }), broken)
		free()
		require.PanicsWithValue(t, "oops", func() {
			l.Do(ctx, "a", func(context.Context, *lock.Lease) error { panic("oops") })
		})
		free()
		b.release = func(lock.Claim) error { b.set(func() { b.release = nil }); return errLink }
		require.NoError(t, l.Do(ctx, "a", func(context.Context, *lock.Lease) error { return nil }),
			"the work was covered: a release that failed is no error")
		free()
	})
}

func TestDoEndsWithItsLeaseAndItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		err := l.Do(ctx, "a", func(ctx context.Context, _ *lock.Lease) error {
			cancel(why)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		require.ErrorIs(t, err, why)
		b.set(func() { b.renew = func() error { return errLink } })
		err = l.Do(t.Context(), "a", func(ctx context.Context, _ *lock.Lease) error {
			<-ctx.Done()
			return nil
		})
		require.ErrorIs(t, err, lock.ErrLost, "work that outlived its lease is told")
	})
}

func TestAcquireAllFailsWhenALeaseIsLostMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		other := lock.New(b.Backend, nil)
		held, err := other.Acquire(t.Context(), "b")
		require.NoError(t, err)
		b.answer = func(states []lock.State) {
			for i, st := range states {
				if st.Phase == lock.Held {
					states[i] = lock.State{Phase: lock.Gone}
				}
			}
		}
		_, err = l.AcquireAll(t.Context(), "b", "a")
		require.ErrorIs(t, err, lock.ErrLost)
		time.Sleep(ttl / 50) // what was lost is let go of after its margin
		synctest.Wait()
		lease, err := other.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "what fails holds nothing")
		require.NoError(t, lease.Release())
		require.NoError(t, held.Release())
		require.NoError(t, other.Close(t.Context()))
	})
}

func TestAcquireAllLeavesNothingWhenItsContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		held, err := l.Acquire(t.Context(), "b")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = l.AcquireAll(ctx, "a", "b", "c")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.NoError(t, held.Release())
		all, err := l.AcquireAll(t.Context(), "a", "b", "c")
		require.NoError(t, err)
		require.NoError(t, all.Release())
	})
}

func TestManyLeasesCostFewRequestsAndNoGoroutines(t *testing.T) {
	const n = 10_000
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		before := runtime.NumGoroutine()
		leases := make([]*lock.Lease, n)
		for i := range leases {
			var err error
			leases[i], err = l.Acquire(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine()-before, 10, "a held lease costs no goroutine")
		time.Sleep(ttl * 10)
		require.LessOrEqual(t, b.renewals.Load(), int32(10*3*(n/1000)+n/1000), "leases are renewed in batches")
		for _, lease := range leases {
			require.NoError(t, lease.Context().Err())
		}
	})
}

func TestMixedTTLs(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		for i, d := range []time.Duration{time.Second, time.Minute, time.Hour, 100 * time.Millisecond, 7 * time.Second} {
			lease, err := l.Claim(t.Context(), lock.Claim{Name: fmt.Sprint(i), TTL: d})
			require.NoError(t, err)
			defer func() { require.NoError(t, lease.Context().Err(), "a lease of %v", d) }()
			time.Sleep(130 * time.Millisecond)
		}
		time.Sleep(3 * time.Hour)
	})
}

func TestCloseIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		_, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		hang := make(chan struct{})
		b.release = func(lock.Claim) error { <-hang; return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, l.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		_, err = l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrClosed)
		_, err = l.Watch(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrClosed)
		close(hang)
	})
}

func TestIdleLockerHasNoTimer(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, lease.Release())
		time.Sleep(time.Hour)
		require.Zero(t, b.renewals.Load())
	})
}

func TestLeaseContextCarriesValues(t *testing.T) {
	type key struct{}
	l := lock.New(memlock.New(), nil)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
	lease, err := l.Acquire(ctx, "a")
	require.NoError(t, err)
	cancel()
	require.NoError(t, lease.Context().Err(), "a lease outlives the context that acquired it")
	require.Equal(t, 1, lease.Context().Value(key{}))
	child, stop := context.WithCancel(lease.Context())
	defer stop()
	require.NoError(t, lease.Release())
	<-child.Done()
	require.ErrorIs(t, context.Cause(child), lock.ErrReleased)
}

func TestBlindWatchEnds(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		w := &silent{faulty: b}
		blind := lock.New(w, &lock.Options{TTL: ttl})
		start := time.Now()
		_, err := blind.Watch(t.Context(), "d")
		require.ErrorIs(t, err, lock.ErrBlind)
		require.Equal(t, ttl, time.Since(start))

		w.first.Store(true)
		watch, err := blind.Watch(t.Context(), "d")
		require.NoError(t, err)
		start = time.Now()
		for _, err := range watch.All(t.Context()) {
			if err != nil {
				require.ErrorIs(t, err, lock.ErrBlind)
			}
		}
		require.Equal(t, ttl, time.Since(start), "a watch that learns nothing for a TTL says so")
		close(w.hang())
		require.NoError(t, blind.Close(t.Context()))
	})
}

// silent is an engine whose watch says something at most once, and heeds no context.
type silent struct {
	*faulty
	first atomic.Bool
	stop  chan struct{}
}

func (s *silent) hang() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		s.stop = make(chan struct{})
	}
	return s.stop
}

func (s *silent) Watch(_ context.Context, _ string, _ time.Duration, emit func([]lock.Holder)) error {
	if s.first.Load() {
		emit(nil)
	}
	<-s.hang()
	emit(nil) // late: nobody must see it
	return nil
}

func TestWatchYieldsChangesOnly(t *testing.T) {
	bubble(t, func(t *testing.T, _ *faulty, l *lock.Locker) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w, err := l.Watch(ctx, "d")
		require.NoError(t, err)
		sets := 0
		for _, err := range w.All(t.Context()) {
			if err == nil {
				sets++
			}
		}
		require.Equal(t, 1, sets, "an engine repeats what it knows, a watch does not")
	})
}

func TestTraceHooks(t *testing.T) {
	type key struct{}
	var got []string
	note := func(who string) *lock.Trace {
		return &lock.Trace{
			Acquire: func(ctx context.Context, c lock.Claim) (context.Context, func(error)) {
				got = append(got, who+" acquire "+c.Name)
				return context.WithValue(ctx, key{}, who), func(err error) {
					got = append(got, fmt.Sprint(who, " acquired ", errors.Is(err, lock.ErrHeld)))
				}
			},
			Queued: func(ctx context.Context, c lock.Claim) {
				got = append(got, fmt.Sprint(who, " queued ", ctx.Value(key{})))
			},
			Hold: func(ctx context.Context, c lock.Claim) func(error) {
				got = append(got, who+" hold")
				return func(cause error) { got = append(got, fmt.Sprint(who, " end ", cause)) }
			},
		}
	}
	bubble(t, func(t *testing.T, b *faulty, _ *lock.Locker) {
		l := lock.New(b, &lock.Options{Trace: lock.JoinTraces(note("1"), nil, &lock.Trace{}, note("2"))})
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.Nil(t, lease.Context().Value(key{}), "the work under a lease is not part of its acquire")
		_, err = l.TryAcquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrHeld)
		time.AfterFunc(time.Second, func() { lease.Release() })
		next, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, next.Release())
		require.NoError(t, l.Close(t.Context()))
	})
	held := []string{"1 acquire a", "2 acquire a", "2 acquired false", "1 acquired false"}
	begin, end := []string{"1 hold", "2 hold"}, []string{"2 end lock: released", "1 end lock: released"}
	var want []string
	for _, part := range [][]string{
		held[:2], begin, held[2:], // the first lease
		held[:2], {"2 acquired true", "1 acquired true"}, // the refused one
		held[:2], {"1 queued 2", "2 queued 2"}, end, begin, held[2:], end, // the one that waits
	} {
		want = append(want, part...)
	}
	require.Equal(t, want, got)
}

func TestLogTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil)) // Info and above
	bubble(t, func(t *testing.T, b *faulty, _ *lock.Locker) {
		l := lock.New(b, &lock.Options{TTL: ttl, Trace: lock.LogTrace(log)})
		lease, err := l.Claim(t.Context(), lock.Claim{Dir: "d", Name: "n", Value: []byte("secret")})
		require.NoError(t, err)
		b.set(func() { b.renew = func() error { return errLink } })
		lostAfter(t, lease)
		b.set(func() { b.acquire = func(lock.Claim) error { return errLink } })
		_, err = l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, errLink)
		require.NoError(t, l.Close(t.Context()))
	})
	require.Contains(t, out.String(), `level=WARN msg="lock lost" component=lock name=n dir=d error="lock: keep`)
	require.Contains(t, out.String(), `level=INFO msg="lock not acquired" component=lock name=a error="link down"`)
	require.NotContains(t, out.String(), "secret")
	require.NotContains(t, out.String(), "DEBUG")
}
