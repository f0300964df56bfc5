package lock_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

func TestCancelledAcquireLeavesNothing(t *testing.T) { // T5
	t.Parallel()
	s := redisserver.StartOrMini(t)
	deadline := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 30*time.Millisecond)
	}
	cancel := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(30*time.Millisecond, cancel)
		return ctx, cancel
	}
	for _, c := range []struct {
		name   string
		mod    func(*redis.Options)
		end    func(context.Context) (context.Context, context.CancelFunc)
		err    error
		noWait bool
	}{
		{"default, deadline, try", nil, deadline, context.DeadlineExceeded, true},
		{"default, deadline, wait", nil, deadline, context.DeadlineExceeded, false},
		{"default, cancel, wait", nil, cancel, context.Canceled, false},
		{"heedful, deadline, try", heedful, deadline, context.DeadlineExceeded, true},
		{"heedful, deadline, wait", heedful, deadline, context.DeadlineExceeded, false},
		{"heedful, cancel, wait", heedful, cancel, context.Canceled, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, claim := linked(t, s, c.mod, nil), lock.Claim{Name: c.name, NoWait: c.noWait}
			require.NoError(t, p.acquire(t, c.name).Release()) // connected
			p.link.Set(faultproxy.Faults{Latency: 30 * time.Millisecond})
			ctx, stop := c.end(t.Context())
			defer stop()
			start := time.Now()
			_, err := p.locks.Claim(ctx, claim)
			require.ErrorIs(t, err, c.err)
			require.Less(t, time.Since(start), 300*time.Millisecond, "an acquire must end with its context")
			other := direct(t, s)
			for { // the release is one trip behind the acquire
				lease, err := other.locks.TryAcquire(t.Context(), c.name)
				if err == nil {
					require.NoError(t, lease.Release())
					break
				}
				require.ErrorIs(t, err, lock.ErrHeld)
				require.Less(t, time.Since(start), ttl/2, "a cancelled acquire must leave nothing, long before its TTL")
			}
		})
	}
}

func TestCancelAtTheInstantOfTheGrant(t *testing.T) { // T6
	t.Parallel()
	s := redisserver.StartOrMini(t)
	holder, last := direct(t, s), direct(t, s)
	trace, queued := queueing()
	waiter := linked(t, s, nil, trace)
	for i := range trials(t) {
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
}

func TestDeadWaiterIsSkippedAtOnce(t *testing.T) { // T7: its connection is gone
	t.Parallel()
	s := redisserver.StartOrMini(t)
	holder := direct(t, s)
	lease := holder.acquire(t, "fin")
	trace, queued := queueing()
	dying := linked(t, s, nil, trace)
	queue(t, dying, queued, "fin")
	trace, queued = queueing()
	got := queue(t, linked(t, s, nil, trace), queued, "fin")
	dying.link.Set(faultproxy.Faults{Refuse: true})
	dying.link.ResetAll()
	gone(t, s, 1)
	require.NoError(t, lease.Release())
	next := within(t, ttl/4, got, "a waiter without a connection must be passed over")
	require.NoError(t, next.Release())
}

// gone waits until the server has so many push connections.
func gone(t *testing.T, s *redisserver.Server, want int) {
	t.Helper()
	rdb := s.Dial(t, nil)
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		channels, err := rdb.PubSubChannels(t.Context(), "concord:lock:push:*").Result()
		require.NoError(t, err)
		if len(channels) == want {
			return
		}
		require.Less(t, time.Since(start), ttl, "%d push connections, not %d", len(channels), want)
	}
}

func TestHalfOpenWaiterCostsOneTTL(t *testing.T) { // T7: its connection stays, nothing moves
	t.Parallel()
	s := redisserver.StartOrMini(t)
	lease := direct(t, s).acquire(t, "half")
	for range 3 {
		trace, queued := queueing()
		p := linked(t, s, nil, trace)
		queue(t, p, queued, "half")
		p.link.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	}
	trace, queued := queueing()
	got := queue(t, linked(t, s, nil, trace), queued, "half")
	start := time.Now()
	require.NoError(t, lease.Release())
	next := within(t, ttl+slack, got, "half-open waiters ahead must cost one TTL in all")
	t.Logf("waited %v behind three half-open waiters", time.Since(start))
	require.NoError(t, next.Release())
}

func TestLostPushIsRepaired(t *testing.T) { // T8
	t.Parallel()
	s := redisserver.Start(t) // miniredis knows no CLIENT KILL
	admin := s.Dial(t, nil)
	holder := direct(t, s)
	for i := range 5 {
		trace, queued := queueing()
		waiter := linked(t, s, nil, trace) // a connection that breaks again and again is opened ever more slowly
		key := fmt.Sprint("push-", i)
		lease := holder.acquire(t, key)
		got := queue(t, waiter, queued, key)
		require.NoError(t, admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
		require.NoError(t, lease.Release()) // passes over the waiter, or its push is lost
		next := within(t, ttl/3, got, "a waiter must look when its push connection is back")
		require.NoError(t, next.Release())
	}
}

func TestWaiterOutlivesAResetLink(t *testing.T) { // T8
	t.Parallel()
	s := redisserver.StartOrMini(t)
	lease := direct(t, s).acquire(t, "reset")
	trace, queued := queueing()
	waiter := linked(t, s, nil, trace)
	got := queue(t, waiter, queued, "reset")
	for range 3 {
		waiter.link.ResetAll()
		time.Sleep(ttl / 4)
	}
	require.NoError(t, lease.Release())
	next := within(t, ttl, got, "a waiter must keep its place while its link breaks and heals")
	require.NoError(t, next.Release())
}

func TestBlindWatchSaysSo(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	p := linked(t, s, nil, nil)
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
}

func TestWatchMissesNoLastChange(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	p, other := linked(t, s, nil, nil), direct(t, s)
	w, err := p.locks.Watch(t.Context(), "dir")
	require.NoError(t, err)
	p.link.ResetAll() // hints are lost from here
	lease, err := other.locks.Claim(t.Context(), lock.Claim{Dir: "dir", Name: "n"})
	require.NoError(t, err)
	sees(t, w, 1)
	p.link.ResetAll()
	require.NoError(t, lease.Release())
	sees(t, w, 0)
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

// Tombstones in line must not keep waiters from looking when a claim ahead ends.
func TestTombstonesAheadDoNotBlind(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	b := redislock.New(s.Dial(t, nil), nil)
	claim := func(id string, ttl time.Duration) lock.Claim {
		return lock.Claim{Name: "tombs", ID: id, Weight: 1, Capacity: 1, TTL: ttl}
	}
	_, err := b.Acquire(t.Context(), claim("dies", ttl/2), nil)
	require.NoError(t, err)
	for i := range 20 {
		_, err := b.Release(t.Context(), claim(fmt.Sprint("tomb", i), time.Minute))
		require.NoError(t, err)
	}
	l := lock.New(redislock.New(s.Dial(t, nil), nil), &lock.Options{TTL: time.Minute}) // renews every 20 s
	start := time.Now()
	lease, err := l.Acquire(t.Context(), "tombs")
	require.NoError(t, err)
	require.Less(t, time.Since(start), ttl/2+slack, "a waiter must look when the claim ahead ends")
	require.NoError(t, lease.Release())
	require.NoError(t, l.Close(t.Context()))
}

// A busy process whose push connections break once must be back to pushes soon.
func TestPushesRecoverInABusyProcess(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t)
	admin := s.Dial(t, nil)
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		p := linked(t, s, heedful, nil)
		p.link.Set(faultproxy.Faults{Latency: time.Millisecond})
		for i := range 20 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if lease, err := p.locks.Acquire(ctx, fmt.Sprint("busy-", i%10)); err == nil {
						lease.Release()
					}
				}
			})
		}
	}
	pause(ctx, time.Second)
	require.NoError(t, admin.ClientKillByFilter(ctx, "TYPE", "pubsub").Err())
	pause(ctx, time.Second)
	before := subscribes(t, admin)
	pause(ctx, time.Second)
	require.LessOrEqual(t, subscribes(t, admin)-before, 4, "a link that is back must stay")
	wg.Wait()
}

func subscribes(t *testing.T, rdb *redis.Client) (calls int) {
	t.Helper()
	for line := range strings.Lines(rdb.Info(t.Context(), "commandstats").Val()) {
		fmt.Sscanf(line, "cmdstat_subscribe:calls=%d", &calls)
	}
	return calls
}

// A push connection that hangs, with no error and no end, is found by its silence and replaced.
func TestHungPushConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	trace, queued := queueing()
	link := s.Proxy(t)
	var pushes atomic.Int32
	link.SetIdentify(func(first []byte) string {
		if !bytes.Contains(bytes.ToLower(first), []byte("subscribe")) {
			return ""
		}
		return fmt.Sprint("push ", pushes.Add(1))
	})
	rdb := s.DialThrough(t, link, nil)
	l := lock.New(redislock.New(rdb, nil), &lock.Options{TTL: 10 * time.Minute, Trace: trace}) // renews in 200 s
	holder := direct(t, s)
	lease := holder.acquire(t, "hung")
	got := queue(t, &process{locks: l}, queued, "hung")
	link.CutPeer("push 1", true)
	for start := time.Now(); pushes.Load() < 2; time.Sleep(100 * time.Millisecond) {
		require.Less(t, time.Since(start), time.Minute, "a silent push connection must be replaced")
	}
	require.NoError(t, lease.Release())
	next := within(t, 10*time.Second, got, "the new connection must bring what the old one has not")
	require.NoError(t, next.Release())
	require.NoError(t, l.Close(t.Context()))
}
