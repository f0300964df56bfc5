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
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

func TestDeadWaiterIsSkippedAtOnce(t *testing.T) { // T7: its connection is gone
	t.Parallel()
	s := stores.AnyRedis(t)
	holder := direct(t, s)
	lease := holder.acquire(t, "fin")
	trace, queued := queueing()
	dying := linked(t, s, trace)
	queue(t, dying, queued, "fin")
	trace, queued = queueing()
	got := queue(t, linked(t, s, trace), queued, "fin")
	dying.link.Set(faultproxy.Faults{Refuse: true})
	dying.link.ResetAll()
	gone(t, s, 1)
	require.NoError(t, lease.Release())
	next := within(t, ttl/4, got, "a waiter without a connection must be passed over")
	require.NoError(t, next.Release())
}

// gone waits until the server has so many push connections.
func gone(t *testing.T, s stores.Redis, want int) {
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

func TestLostPushIsRepaired(t *testing.T) { // T8
	t.Parallel()
	s := stores.RealRedis(t) // miniredis knows no CLIENT KILL
	admin := s.Dial(t, nil)
	holder := direct(t, s)
	for i := range 5 {
		trace, queued := queueing()
		waiter := linked(t, s, trace) // a connection that breaks again and again is opened ever more slowly
		key := fmt.Sprint("push-", i)
		lease := holder.acquire(t, key)
		got := queue(t, waiter, queued, key)
		require.NoError(t, admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
		require.NoError(t, lease.Release()) // passes over the waiter, or its push is lost
		next := within(t, ttl/3, got, "a waiter must look when its push connection is back")
		require.NoError(t, next.Release())
	}
}

// Tombstones in line must not keep waiters from looking when a claim ahead ends.
func TestTombstonesAheadDoNotBlind(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
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
	s := stores.RealRedis(t)
	admin := s.Dial(t, nil)
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		p := linked(t, s.With(stores.Heedful), nil)
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
	sleep(ctx, time.Second)
	require.NoError(t, admin.ClientKillByFilter(ctx, "TYPE", "pubsub").Err())
	sleep(ctx, time.Second)
	before := subscribes(t, admin)
	sleep(ctx, time.Second)
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
	s := stores.AnyRedis(t)
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
