package lock_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

// answering is a memory backend whose Acquire is replaced.
type answering struct {
	*memlock.Backend
	acquire func(b *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error)
}

func (a *answering) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	return a.acquire(a.Backend, ctx, c, notify)
}

// edge runs f with a Locker over an answering backend on virtual time.
func edge(t *testing.T, acquire func(*memlock.Backend, context.Context, lock.Claim, func(lock.State)) (lock.State, error), f func(*testing.T, *lock.Locker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(&answering{memlock.New(), acquire}, &lock.Options{TTL: ttl})
		f(t, l)
		require.NoError(t, l.Close(context.WithoutCancel(t.Context())))
	})
}

func TestAgeOfTheFirstAnswerCounts(t *testing.T) {
	const age = ttl / 2
	edge(t, func(b *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
		st, err := b.Acquire(ctx, c, notify)
		st.Age = age
		return st, err
	}, func(t *testing.T, l *lock.Locker) {
		start := time.Now()
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, ttl-ttl/50-age, lease.Expires().Sub(start), "a claim on an older lease ends with that")
	})
}

func TestAgeBeyondTheTTLIsALoss(t *testing.T) {
	edge(t, func(b *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
		st, err := b.Acquire(ctx, c, notify)
		st.Age = ttl
		return st, err
	}, func(t *testing.T, l *lock.Locker) {
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrLost)
	})
}

func TestPushBeforeAnAnswerThatFails(t *testing.T) {
	edge(t, func(b *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
		st, err := b.Acquire(ctx, c, notify)
		if err == nil {
			notify(st)
		}
		time.Sleep(time.Second)
		return lock.State{}, errLink
	}, func(t *testing.T, l *lock.Locker) {
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, errLink, "nothing is known of the age of a claim before the first answer")
	})
}

func TestPushBeforeTheAnswerCounts(t *testing.T) {
	for name, push := range map[string]lock.State{"the grant": {Phase: lock.Held}, "a hint": {}} {
		t.Run(name, func(t *testing.T) {
			var held lock.Claim
			edge(t, func(b *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
				if held.ID == "" {
					held = c
					return b.Acquire(ctx, c, notify)
				}
				st, err := b.Acquire(ctx, c, func(st lock.State) { push.Token = st.Token })
				b.Release(ctx, held)
				notify(push)
				return st, err // Queued, as it was
			}, func(t *testing.T, l *lock.Locker) {
				_, err := l.Acquire(t.Context(), "a")
				require.NoError(t, err)
				start := time.Now()
				lease, err := l.Acquire(t.Context(), "a")
				require.NoError(t, err)
				require.Zero(t, time.Since(start), "what was pushed early must not be forgotten")
				require.NoError(t, lease.Release())
			})
		})
	}
}

// cutOff is an engine that takes a claim in line, hears nothing more of it, and pushes its grant at the deadline.
type cutOff struct{ *memlock.Backend }

func (cutOff) Acquire(_ context.Context, _ lock.Claim, notify func(lock.State)) (lock.State, error) {
	time.AfterFunc(ttl-ttl/50, func() { notify(lock.State{Phase: lock.Held, Token: 7}) })
	return lock.State{Phase: lock.Queued}, nil
}

func (cutOff) Renew(context.Context, []lock.Claim) ([]lock.State, error) { return nil, errLink }

func TestPushAtTheDeadlineGrantsNothing(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			l := lock.New(cutOff{memlock.New()}, &lock.Options{TTL: ttl})
			start := time.Now()
			_, err := l.Acquire(t.Context(), "a")
			require.ErrorIs(t, err, lock.ErrLost)
			require.Equal(t, ttl-ttl/50, time.Since(start), "the claim waits until its time is over")
			require.NoError(t, l.Close(t.Context()))
		})
	}
}

func TestCloseAndCancelAtOnce(t *testing.T) {
	var odd atomic.Int32
	trace := &lock.Trace{Hold: func(context.Context, lock.Claim) func(error) {
		return func(cause error) {
			if !errors.Is(cause, lock.ErrReleased) && !errors.Is(cause, lock.ErrLost) {
				odd.Add(1)
			}
		}
	}}
	for range 1000 {
		b := memlock.New()
		l, other := lock.New(b, &lock.Options{Trace: trace}), lock.New(b, nil)
		first, err := other.Acquire(t.Context(), "a")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				lease, err := l.Acquire(ctx, "a")
				if (lease == nil) == (err == nil) {
					t.Errorf("Acquire returned %v, %v", lease, err)
				}
				if errors.Is(err, lock.ErrReleased) {
					t.Errorf("a wait that Close ended says %v", err)
				}
			})
		}
		runtime.Gosched()
		wg.Go(func() { first.Release() })
		wg.Go(cancel)
		wg.Go(func() {
			if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		wg.Wait()
		next, err := other.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "Close must leave nothing behind")
		require.NoError(t, next.Release())
		require.NoError(t, other.Close(t.Context()))
	}
	require.Zero(t, odd.Load(), "a hold ends released or lost")
}

func TestReleaseDuringClose(t *testing.T) {
	for range 2000 {
		b := memlock.New()
		l := lock.New(b, nil)
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := lease.Release(); err != nil {
				t.Errorf("Release: %v", err)
			}
		})
		wg.Go(func() { l.Close(t.Context()) })
		wg.Wait()
		_, err = lock.New(b, nil).TryAcquire(t.Context(), "a")
		require.NoError(t, err, "Close must leave nothing behind")
	}
}

func TestErrAfterExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFaulty()
		b.renew = func() error { return errLink }
		l := lock.New(b, &lock.Options{TTL: ttl})
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				time.Sleep(time.Until(lease.Expires()))
				if lease.Context().Err() == nil {
					t.Errorf("no error at the instant that Expires told")
				}
			})
		}
		wg.Wait()
		require.NoError(t, l.Close(t.Context()))
	})
}

// deaf is an engine that heeds contexts where a method hangs.
type deaf struct {
	*memlock.Backend
	hang func(ctx context.Context) error
}

func (d *deaf) Info(ctx context.Context) (lock.Info, error) {
	if d.hang == nil {
		return d.Backend.Info(ctx)
	}
	return lock.Info{}, d.hang(ctx)
}

func TestCloseEndsAnAcquireThatAsksForInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heed := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		l := lock.New(&deaf{memlock.New(), heed}, &lock.Options{TTL: ttl})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Acquire(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, lock.ErrUnknownOutcome, "nothing was claimed")
		require.ErrorContains(t, err, `lock: acquire "a"`)
		_, err = l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrBlind, "an engine that says nothing is not waited for")
		got := make(chan error, 1)
		go func() { _, err := l.Acquire(t.Context(), "a"); got <- err }()
		synctest.Wait()
		require.NoError(t, l.Close(t.Context()))
		require.ErrorIs(t, <-got, lock.ErrClosed)
	})
}

func TestCancelledAcquireAllIsPrompt(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		held, err := lock.New(b.Backend, nil).Acquire(t.Context(), "c")
		require.NoError(t, err)
		hang := make(chan struct{})
		b.release = func(lock.Claim) error { <-hang; return nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = l.AcquireAll(ctx, "a", "b", "c")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start), "what it held is released in the background")
		close(hang)
		require.NoError(t, held.Release())
	})
}

func TestCauseThatLooksHeldIsWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		other := lock.New(b.Backend, nil)
		first, err := other.Acquire(t.Context(), "a")
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(lock.ErrHeld) }) // as errgroup does with another member's error
		_, err = l.Acquire(ctx, "a")
		require.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		require.NoError(t, first.Release())
		next, err := other.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "a cancelled acquire leaves nothing behind, whatever the cause")
		require.NoError(t, next.Release())
		require.NoError(t, other.Close(t.Context()))
	})
}

func TestAgedLeaseIsRenewedInTime(t *testing.T) {
	for _, age := range []time.Duration{ttl / 2, ttl * 7 / 10, ttl * 9 / 10} {
		bubble(t, func(t *testing.T, b *faulty, _ *lock.Locker) {
			aged := &answering{b.Backend, func(m *memlock.Backend, ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
				st, err := m.Acquire(ctx, c, notify)
				st.Age = age
				return st, err
			}}
			l := lock.New(aged, &lock.Options{TTL: ttl})
			lease, err := l.Acquire(t.Context(), "a")
			require.NoError(t, err)
			time.Sleep(3 * ttl)
			require.NoError(t, lease.Context().Err(), "a lease of age %v must be renewed in what is left", age)
			require.NoError(t, l.Close(t.Context()))
		})
	}
}

func TestAcquireAllThatCloseEnds(t *testing.T) {
	for range 300 {
		b := memlock.New()
		held, err := lock.New(b, nil).Acquire(t.Context(), "b")
		require.NoError(t, err)
		l := lock.New(b, nil)
		got := make(chan error, 1)
		go func() { _, err := l.AcquireAll(t.Context(), "a", "b"); got <- err }()
		runtime.Gosched()
		require.NoError(t, l.Close(t.Context()))
		require.ErrorIs(t, <-got, lock.ErrClosed)
		require.NoError(t, held.Release())
	}
}

// failing is an engine that cannot renew one name.
type failing struct {
	*memlock.Backend
	tries atomic.Int32
}

func (f *failing) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	states, err := f.Backend.Renew(ctx, cs)
	for i, c := range cs {
		if c.Name == "failing" {
			f.tries.Add(1)
			states[i] = lock.State{}
		}
	}
	return states, err
}

func TestOthersDoNotHurryRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &failing{Backend: memlock.New()}
		l := lock.New(b, nil)
		_, err := l.Claim(t.Context(), lock.Claim{Name: "failing", TTL: time.Hour})
		require.NoError(t, err)
		_, err = l.Claim(t.Context(), lock.Claim{Name: "busy", TTL: lock.MinTTL})
		require.NoError(t, err)
		time.Sleep(30 * time.Minute)
		require.Less(t, b.tries.Load(), int32(10), "a lease goes along in the last quarter of its wait, not before")
		require.NoError(t, l.Close(t.Context()))
	})
}

func TestCommonContextTellsTheTruth(t *testing.T) {
	l := lock.New(memlock.New(), nil)
	all, err := l.AcquireAll(t.Context(), "a", "b")
	require.NoError(t, err)
	require.NoError(t, all.Context().Err())
	require.NoError(t, all.All()[1].Release())
	require.ErrorIs(t, all.Context().Err(), context.Canceled)
	require.ErrorIs(t, context.Cause(all.Context()), lock.ErrReleased)
	<-all.Context().Done()
	require.NoError(t, all.Release())
}

// stuck is an engine whose SetValue hangs until its context ends.
type stuck struct{ *memlock.Backend }

func (s stuck) SetValue(ctx context.Context, _ lock.Claim) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

func TestSetValueEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(stuck{memlock.New()}, nil)
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		got := make(chan error, 1)
		go func() { got <- lease.SetValue(t.Context(), nil) }()
		synctest.Wait()
		require.NoError(t, lease.Release())
		require.Error(t, <-got)
		require.NoError(t, l.Close(t.Context()))
	})
}

func TestCorruptDataIsNotReleasedAgainAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.acquire = func(lock.Claim) error { return lock.ErrCorrupt }
		b.release = func(lock.Claim) error { return lock.ErrCorrupt }
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrCorrupt)
		time.Sleep(2 * ttl)
		require.EqualValues(t, 1, b.releases.Load())
	})
}

// quitting is an engine whose watch gives up without a reason.
type quitting struct{ *memlock.Backend }

func (quitting) Watch(context.Context, string, time.Duration, func([]lock.Holder)) error { return nil }

func TestWatchThatGivesUpHasAnError(t *testing.T) {
	l := lock.New(quitting{memlock.New()}, nil)
	_, err := l.Watch(t.Context(), "d")
	require.ErrorIs(t, err, lock.ErrBlind)
	require.NoError(t, l.Close(t.Context()))
}

func TestOfRefusesZero(t *testing.T) {
	l := lock.New(memlock.New(), nil)
	for _, c := range []lock.Claim{lock.Claim{Name: "a"}.Of(1, 0), lock.Claim{Name: "a"}.Of(0, 5)} {
		_, err := l.Claim(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid, "a limit that was left out must not mean none")
	}
}

func TestZeroLocker(t *testing.T) {
	var l lock.Locker
	require.NoError(t, l.Close(t.Context()))
	_, err := l.Acquire(t.Context(), "a")
	require.ErrorIs(t, err, lock.ErrInvalid)
	_, err = l.Watch(t.Context(), "a")
	require.ErrorIs(t, err, lock.ErrInvalid)
}

// hinting is an engine whose first renewal is overtaken by a hint: its answer is older than what the hint is about.
type hinting struct {
	*memlock.Backend
	notify   func(lock.State)
	renewals int
}

func (h *hinting) Acquire(_ context.Context, _ lock.Claim, notify func(lock.State)) (lock.State, error) {
	h.notify = notify
	return lock.State{Phase: lock.Queued}, nil
}

func (h *hinting) Renew(context.Context, []lock.Claim) ([]lock.State, error) {
	if h.renewals++; h.renewals == 1 {
		h.notify(lock.State{})
		return []lock.State{{Phase: lock.Queued}}, nil
	}
	return []lock.State{{Phase: lock.Held, Token: 7}}, nil
}

func TestHintDuringARenewalIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(&hinting{Backend: memlock.New()}, &lock.Options{TTL: ttl})
		start := time.Now()
		_, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, ttl/3, time.Since(start), "an answer that is older than a hint must not put off the look")
		require.NoError(t, l.Close(t.Context()))
	})
}
