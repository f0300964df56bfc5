package lock_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
)

func TestCancelledAcquireLeavesNothing(t *testing.T) { // T5
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		for _, c := range []struct {
			name   string
			end    func(context.Context) (context.Context, context.CancelFunc)
			err    error
			noWait bool
		}{
			{"deadline, try", soonOver, context.DeadlineExceeded, true},
			{"deadline, wait", soonOver, context.DeadlineExceeded, false},
			{"cancel, try", soonCancelled, context.Canceled, true},
			{"cancel, wait", soonCancelled, context.Canceled, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				cancelled(t, s, lock.Claim{Name: c.name, NoWait: c.noWait}, c.end, c.err)
			})
		}
	})
}

const soon = 30 * time.Millisecond

func soonOver(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, soon)
}

func soonCancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(soon, cancel)
	return ctx, cancel
}

// cancelled ends an acquire while it is on the wire.
func cancelled(t *testing.T, s stores.Store, c lock.Claim, end func(context.Context) (context.Context, context.CancelFunc), want error) {
	p := linked(t, s, nil)
	require.NoError(t, p.acquire(t, c.Name).Release()) // connected
	p.link.Set(faultproxy.Faults{Latency: soon})
	ctx, stop := end(t.Context())
	defer stop()
	ended := make(chan time.Time, 1)
	go func() { // a machine that halts holds this up too
		<-ctx.Done()
		ended <- time.Now()
	}()
	_, err := p.locks.Claim(ctx, c)
	start := time.Now()
	require.ErrorIs(t, err, want)
	require.Less(t, start.Sub(<-ended), 9*soon, "an acquire must end with its context")
	other := direct(t, s)
	for { // the release is some trips behind the acquire
		lease, err := other.locks.TryAcquire(t.Context(), c.Name)
		if err == nil {
			require.NoError(t, lease.Release())
			return
		}
		require.ErrorIs(t, err, lock.ErrHeld)
		require.Less(t, time.Since(start), ttl/2, "a cancelled acquire must leave nothing, long before its TTL")
	}
}

func TestCancelAtTheInstantOfTheGrant(t *testing.T) { // T6
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		holder, last := direct(t, s), direct(t, s)
		trace, queued := queueing()
		waiter := linked(t, s, trace)
		for i := range stores.Trials(t) {
			key := fmt.Sprint("instant-", i)
			lease := holder.acquire(t, key)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if got, err := waiter.locks.Acquire(ctx, key); err == nil {
					got.Release()
				}
			}()
			within(t, ttl, queued, "the claim must wait in line")
			time.AfterFunc(time.Duration(i%10)*100*time.Microsecond, cancel)
			require.NoError(t, lease.Release())
			start := time.Now()
			require.NoError(t, last.acquire(t, key).Release())
			require.Less(t, time.Since(start), ttl/4, "a grant that nobody wants goes to the next one")
			<-done
		}
	})
}

func TestHalfOpenWaiterCostsOneTTL(t *testing.T) { // T7: its connection stays, nothing moves
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		lease := direct(t, s).acquire(t, "half")
		for range 3 {
			trace, queued := queueing()
			p := linked(t, s, trace)
			queue(t, p, queued, "half")
			p.link.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
		}
		trace, queued := queueing()
		got := queue(t, linked(t, s, trace), queued, "half")
		start := time.Now()
		require.NoError(t, lease.Release())
		next := within(t, ttl+slack, got, "half-open waiters ahead must cost one TTL in all")
		t.Logf("waited %v behind three half-open waiters", time.Since(start))
		require.NoError(t, next.Release())
	})
}

func TestWaiterOutlivesAResetLink(t *testing.T) { // T8
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		lease := direct(t, s).acquire(t, "reset")
		trace, queued := queueing()
		waiter := linked(t, s, trace)
		got := queue(t, waiter, queued, "reset")
		for range 3 {
			waiter.link.ResetAll()
			time.Sleep(ttl / 4)
		}
		require.NoError(t, lease.Release())
		next := within(t, ttl, got, "a waiter must keep its place while its link breaks and heals")
		require.NoError(t, next.Release())
	})
}

func TestBlindWatchSaysSo(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p := linked(t, s, nil)
		w, err := p.locks.Watch(t.Context(), "dir")
		require.NoError(t, err)
		p.link.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
		start := time.Now()
		for _, err := range w.All(t.Context()) {
			if err != nil {
				require.ErrorIs(t, err, lock.ErrBlind)
			}
		}
		require.Less(t, time.Since(start), ttl+slack, "a watch must say that it has been blind for a TTL")
		p.link.Heal()
		_, err = p.locks.Watch(t.Context(), "dir")
		require.NoError(t, err)
	})
}

func TestWatchMissesNoLastChange(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		p, other := linked(t, s, nil), direct(t, s)
		w, err := p.locks.Watch(t.Context(), "dir")
		require.NoError(t, err)
		p.link.ResetAll() // hints are lost from here
		lease, err := other.locks.Claim(t.Context(), lock.Claim{Dir: "dir", Name: "n"})
		require.NoError(t, err)
		sees(t, w, 1)
		p.link.ResetAll()
		require.NoError(t, lease.Release())
		sees(t, w, 0)
	})
}

func sees(t *testing.T, w *lock.Watch, holders int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), ttl)
	defer stop()
	for hs, err := range w.All(ctx) {
		require.NoError(t, err, "a watch must not miss the last change")
		if len(hs) == holders {
			return
		}
	}
}

// Who stands far back is served in turn, also when those before give up.
func TestLongLineInWhichSomeGiveUp(t *testing.T) {
	stores.OnEach(t, func(t *testing.T, s stores.Store) {
		const n = 40
		lease := direct(t, s).acquire(t, "long")
		trace, queued := queueing()
		l := linked(t, s, trace).locks
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		served := make(chan int, n)
		for i := range n {
			wait := t.Context()
			if i%2 == 1 {
				wait = ctx
			}
			go func() {
				if lease, err := l.Acquire(wait, "long"); err == nil {
					served <- i
					lease.Release()
				}
			}()
			within(t, ttl, queued, "the claim must wait in line")
		}
		giveUp()
		require.NoError(t, lease.Release())
		for want := 0; want < n; want += 2 {
			require.Equal(t, want, within(t, ttl, served, "a grant must be pushed"), "waiters are served in order")
		}
	})
}
