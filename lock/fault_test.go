package lock_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
)

const ttl = 3 * time.Second

// faulty is a memory backend with hooks in front of its methods. A hook's error is returned instead of an answer.
type faulty struct {
	*memlock.Backend
	mu      sync.Mutex // guards the hooks
	acquire func(lock.Claim) error
	renew   func() error
	answer  func([]lock.State)
	release func(lock.Claim) error
	info    func() error

	renewals, releases atomic.Int32
}

// set changes hooks.
func (f *faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// now returns a hook as it is.
func now[F any](f *faulty, hook *F) F {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *hook
}

func newFaulty() *faulty { return &faulty{Backend: memlock.New()} }

func (f *faulty) Acquire(ctx context.Context, c lock.Claim, notify func(lock.State)) (lock.State, error) {
	if hook := now(f, &f.acquire); hook != nil {
		if err := hook(c); err != nil {
			return lock.State{}, err
		}
	}
	return f.Backend.Acquire(ctx, c, notify)
}

func (f *faulty) Renew(ctx context.Context, cs []lock.Claim) ([]lock.State, error) {
	f.renewals.Add(1)
	if hook := now(f, &f.renew); hook != nil {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	states, err := f.Backend.Renew(ctx, cs)
	if hook := now(f, &f.answer); hook != nil {
		hook(states)
	}
	return states, err
}

func (f *faulty) Release(ctx context.Context, c lock.Claim) (bool, error) {
	f.releases.Add(1)
	if hook := now(f, &f.release); hook != nil {
		if err := hook(c); err != nil {
			return false, err
		}
	}
	return f.Backend.Release(ctx, c)
}

func (f *faulty) Info(ctx context.Context) (lock.Info, error) {
	if hook := now(f, &f.info); hook != nil {
		if err := hook(); err != nil {
			return lock.Info{}, err
		}
	}
	info, err := f.Backend.Info(ctx)
	info.Heeds = lock.HeedsNothing // hooks may hang
	return info, err
}

var errLink = errors.New("link down")

// bubble runs f with a Locker over a faulty backend on virtual time, and closes the Locker.
func bubble(t *testing.T, f func(t *testing.T, b *faulty, l *lock.Locker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newFaulty()
		l := lock.New(b, &lock.Options{TTL: ttl})
		f(t, b, l)
		require.NoError(t, l.Close(context.WithoutCancel(t.Context())))
	})
}

// lostAfter waits for the end of the lease's context and returns how long that took.
func lostAfter(t *testing.T, lease *lock.Lease) time.Duration {
	t.Helper()
	start := time.Now()
	<-lease.Context().Done()
	require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
	require.ErrorIs(t, lease.Release(), lock.ErrLost)
	return time.Since(start)
}

func TestHungRenewalDoesNotDelayTheLoss(t *testing.T) { // T2
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		hang := make(chan struct{})
		b.renew = func() error { <-hang; return errLink }
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, ttl-ttl/50, lostAfter(t, lease), "the loss is told a margin before the TTL is over")
		require.EqualValues(t, 2, b.renewals.Load(), "a renewal that hangs is sent again a third of the TTL later")
		close(hang)
	})
}

func TestFailedRenewalIsTriedAgain(t *testing.T) { // T3
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.renew = func() error {
			if b.renewals.Load() < 3 {
				return errLink
			}
			return nil
		}
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		time.Sleep(3 * ttl)
		require.NoError(t, lease.Context().Err(), "failed renewals within the lease do no harm")
		require.NoError(t, lease.Release())
	})
}

func TestLateRenewalDoesNotReviveALease(t *testing.T) { // T4
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.answer = func([]lock.State) { time.Sleep(2 * ttl) } // applied, and answered too late
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		lostAfter(t, lease)
		time.Sleep(3 * ttl)
		require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost, "a loss is final")
	})
}

func TestLostLeaseIsReleasedOnTheServer(t *testing.T) { // T4
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.answer = func(states []lock.State) { clear(states) } // every renewal is applied, every answer is lost
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		<-lease.Context().Done()
		synctest.Wait()
		_, err = l.TryAcquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrHeld, "the margin is time to stop work in, also where the link still takes a release")
		time.Sleep(ttl / 50)
		synctest.Wait()
		next, err := l.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "what lost renewals left on the server must not keep the next one out")

		<-next.Context().Done()
		require.ErrorIs(t, next.Release(), lock.ErrLost)
		synctest.Wait()
		last, err := l.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "who releases has stopped: the margin is over")
		require.NoError(t, last.Release())
		require.ErrorIs(t, next.Release(), lock.ErrLost, "once more is the same")
	})
}

func TestAnswerCountsFromItsRequest(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.acquire = func(lock.Claim) error { time.Sleep(200 * time.Millisecond); return nil }
		b.renew = func() error { return errLink }
		start := time.Now()
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		lostAfter(t, lease)
		require.Equal(t, ttl-ttl/50, time.Since(start), "the deadline counts from the instant before the send")
	})
}

func TestAgeShortensTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		const age = 700 * time.Millisecond
		b.answer = func(states []lock.State) {
			for i := range states {
				states[i].Age = age
			}
		}
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		time.Sleep(ttl)
		b.set(func() { b.renew = func() error { return errLink } })
		renewed := lease.Expires().Add(ttl / 50).Add(age).Add(-ttl)
		require.WithinRange(t, renewed, time.Now().Add(-ttl/3), time.Now(), "a TTL that was spent before does not count")
		lostAfter(t, lease)
	})
}

func TestCancelledAcquireLeavesNothing(t *testing.T) { // T5
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.acquire = func(lock.Claim) error { time.Sleep(60 * time.Millisecond); return nil } // heeds no context
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer stop()
		start := time.Now()
		_, err := l.Acquire(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 30*time.Millisecond, time.Since(start), "an acquire ends with its context")
		time.Sleep(31 * time.Millisecond) // it arrives, after its release
		b.set(func() { b.acquire = nil })
		lease, err := l.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "a cancelled acquire leaves nothing behind")
		require.NoError(t, lease.Release())
	})
}

func TestUnansweredAcquireEnds(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		hang := make(chan struct{})
		b.acquire = func(lock.Claim) error { <-hang; return nil }
		start := time.Now()
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, lock.ErrUnknownOutcome)
		unknown, ok := errors.AsType[interface {
			error
			UnknownOutcome() bool
		}](err)
		require.True(t, ok && unknown.UnknownOutcome(), "an unknown outcome is known by its shape")
		require.Equal(t, ttl-ttl/50, time.Since(start), "an answer after the TTL is worth nothing")
		close(hang)
	})
}

func TestWithdrawalIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		b.acquire = func(c lock.Claim) error { // granted, and the answer is lost
			b.set(func() { b.acquire = nil })
			_, err := b.Backend.Acquire(t.Context(), c, func(lock.State) {})
			require.NoError(t, err)
			return errLink
		}
		b.release = func(lock.Claim) error {
			if b.releases.Load() < 3 {
				return errLink
			}
			return nil
		}
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, errLink)
		time.Sleep(ttl / 2)
		lease, err := l.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "a withdrawal is tried until it gets through")
		require.NoError(t, lease.Release())
	})
}

func TestCancelAtTheInstantOfTheGrant(t *testing.T) { // T6
	for range 50 {
		bubble(t, func(t *testing.T, _ *faulty, l *lock.Locker) {
			first, err := l.Acquire(t.Context(), "a")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if lease, err := l.Acquire(ctx, "a"); err == nil {
					lease.Release()
				}
			}()
			time.AfterFunc(time.Second, func() { first.Release() })
			time.Sleep(time.Second)
			start := time.Now()
			last, err := l.Acquire(t.Context(), "a")
			require.NoError(t, err)
			require.Zero(t, time.Since(start), "a grant that nobody wants goes to the next waiter at once")
			require.NoError(t, last.Release())
			<-done
		})
	}
}

func TestForgottenGrantIsALoss(t *testing.T) {
	for name, wrong := range map[string]lock.State{
		"queued again":    {Phase: lock.Queued},
		"another token":   {Phase: lock.Held, Token: 999},
		"not there":       {Phase: lock.Gone},
		"not there, aged": {Phase: lock.Gone, Age: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
				b.answer = func(states []lock.State) { states[0] = wrong }
				lease, err := l.Acquire(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, ttl/3, lostAfter(t, lease), "the first renewal reports the loss")
			})
		})
	}
}

func TestAnswerOlderThanTheGrantIsNoLoss(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		first, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		b.set(func() { // computed before the push, seen after it
			b.answer = func([]lock.State) { time.Sleep(100 * time.Millisecond) }
		})
		got := make(chan *lock.Lease)
		go func() {
			lease, err := l.Acquire(t.Context(), "a")
			require.NoError(t, err)
			got <- lease
		}()
		time.Sleep(ttl/3 + 50*time.Millisecond)
		require.NoError(t, first.Release())
		lease := <-got
		time.Sleep(ttl / 6)
		require.NoError(t, lease.Context().Err(), "a renewal that was sent before the grant cannot know of it")
		require.NoError(t, lease.Release())
	})
}

func TestReleaseThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		lease, err := l.Acquire(t.Context(), "a")
		require.NoError(t, err)
		b.set(func() {
			b.release = func(lock.Claim) error { b.set(func() { b.release = nil }); return errLink }
		})
		require.ErrorIs(t, lease.Release(), errLink)
		require.ErrorIs(t, lease.Release(), errLink, "a second Release says the same")
		require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrReleased)
		synctest.Wait()
		next, err := l.TryAcquire(t.Context(), "a")
		require.NoError(t, err, "a release that failed is tried again")
		hang := make(chan struct{})
		b.set(func() { b.release = func(lock.Claim) error { <-hang; return nil } })
		start := time.Now()
		require.ErrorIs(t, next.Release(), lock.ErrUnknownOutcome)
		require.Equal(t, ttl-ttl/50, time.Since(start), "a release takes no longer than the lease had left")
		close(hang)
	})
}

func TestInfoIsAskedUntilItAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, b *faulty, l *lock.Locker) {
		asked := 0
		b.info = func() error {
			if asked++; asked == 1 {
				return errLink
			}
			return nil
		}
		_, err := l.Acquire(t.Context(), "a")
		require.ErrorIs(t, err, errLink)
		for range 3 {
			lease, err := l.Acquire(t.Context(), "a")
			require.NoError(t, err)
			require.NoError(t, lease.Release())
		}
		require.Equal(t, 2, asked, "a Locker asks once")
	})
}
