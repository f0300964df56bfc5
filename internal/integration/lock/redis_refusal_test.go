package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// A grant is told only once it is written: otherwise two would hold, with nothing lost.
func TestRefusedWriteTellsNobody(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	admin := s.Dial(t, nil)
	holder := direct(t, s)
	trace, queued := queueing()
	waiter := linked(t, s, trace)
	lease := holder.acquire(t, "refused")
	got := queue(t, waiter, queued, "refused")
	require.NoError(t, admin.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	err := lease.Release()
	require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	require.ErrorContains(t, err, "NOREPLICAS")
	select {
	case <-got:
		require.Fail(t, "a waiter was told of a grant that the server has refused to write")
	case <-time.After(ttl / 4):
	}
	require.NoError(t, admin.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())
	next := within(t, ttl, got, "the release is tried again, and the waiter served")
	require.NoError(t, next.Release())
}

func TestFullServerLetsGo(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	admin := s.Dial(t, nil)
	p, other := direct(t, s), direct(t, s)
	lease := p.acquire(t, "full")
	listed, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "full", Name: "a"})
	require.NoError(t, err)
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
	_, err = other.locks.TryAcquire(t.Context(), "more")
	require.ErrorContains(t, err, "OOM")
	time.Sleep(ttl * 3 / 2)
	require.NoError(t, lease.Context().Err(), "a server that is full must let leases be renewed")
	require.NoError(t, listed.Context().Err())
	require.NoError(t, lease.Release(), "and released")
	require.NoError(t, listed.Release())
}

func TestUserWithoutChannels(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	admin := s.Dial(t, nil)
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">secret", "~concord:*", "+@all", "resetchannels").Err())
	limited := func(o *redis.Options) { o.Username, o.Password = "app", "secret" }
	p := linked(t, s.With(limited), nil)
	lease, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "d", Name: "n"})
	require.NoError(t, err, "a free name needs no channel, and a hint that cannot be sent fails nothing")
	start := time.Now()
	_, err = p.locks.Claim(t.Context(), lock.Claim{Dir: "d", Name: "n"})
	require.ErrorContains(t, err, "NOPERM")
	require.Less(t, time.Since(start), ttl/2, "a wait that cannot be pushed must fail at once")
	require.NoError(t, lease.Release())
}

func TestOddIDsAreRefused(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	b := redislock.New(s.Dial(t, nil), nil)
	for _, id := range []string{"", "a-b", "a b", "a\n", "a\nb 1 1 c", "ü", "%d"} {
		c := lock.Claim{Name: "odd", ID: id, Weight: 1, Capacity: 1, TTL: ttl}
		_, err := b.Acquire(t.Context(), c, nil)
		require.ErrorIs(t, err, lock.ErrInvalid, "%q", id)
		_, err = b.Renew(t.Context(), []lock.Claim{c})
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.Release(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
		_, err = b.SetValue(t.Context(), c)
		require.ErrorIs(t, err, lock.ErrInvalid)
	}
	_, err := b.Acquire(t.Context(), lock.Claim{Name: "odd", ID: "id", Weight: 0, Capacity: 1, TTL: ttl}, nil)
	require.ErrorIs(t, err, lock.ErrInvalid)
}

// What go-redis repeats after the release has arrived must not come to life.
func TestAcquireRepeatedAfterRelease(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	b := redislock.New(s.Dial(t, nil), nil)
	c := lock.Claim{Name: "repeated", ID: "id", Weight: 1, Capacity: 1, TTL: ttl}
	for range 2 {
		_, err := b.Acquire(t.Context(), c, nil)
		require.NoError(t, err)
		_, err = b.Release(t.Context(), c)
		require.NoError(t, err)
	}
	lease, err := direct(t, s).locks.TryAcquire(t.Context(), "repeated")
	require.NoError(t, err)
	require.NoError(t, lease.Release())
}

func TestWatchedDirectoryForgetsTheDead(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	rdb := s.Dial(t, nil)
	b := redislock.New(rdb, nil)
	for i := range 50 {
		for n := range 2 { // one holds, one waits
			c := lock.Claim{Dir: "pods", Name: fmt.Sprint(i), ID: fmt.Sprint("id", i, "n", n), Weight: 1, Capacity: 1, TTL: ttl / 2, Value: []byte("v")}
			_, err := b.Acquire(t.Context(), c, func(lock.State) {})
			require.NoError(t, err)
			defer b.Release(context.Background(), c)
		}
	}
	p := direct(t, s)
	_, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "pods", Name: "live"})
	require.NoError(t, err)
	_, err = p.locks.Watch(t.Context(), "pods")
	require.NoError(t, err)
	for start := time.Now(); ; time.Sleep(ttl / 10) {
		n, err := rdb.HLen(t.Context(), "concord:lock:d:{pods}").Result()
		require.NoError(t, err)
		if n <= 4 {
			return
		}
		require.Less(t, time.Since(start), 10*ttl, "%d fields are left of one live claim", n)
	}
}

func TestLongLineForgetsTheDead(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	rdb := s.Dial(t, nil)
	b := redislock.New(rdb, nil)
	join := func(id string, ttl time.Duration) {
		c := lock.Claim{Name: "long", ID: id, Weight: 1, Capacity: 1, TTL: ttl}
		_, err := b.Acquire(t.Context(), c, func(lock.State) {})
		require.NoError(t, err)
		t.Cleanup(func() { b.Release(context.Background(), c) })
	}
	join("holder", time.Minute)
	join("first", time.Minute) // keeps the rule from walking further
	for i := range 500 {
		join(fmt.Sprint("dead", i), lock.MinTTL)
	}
	time.Sleep(lock.MinTTL)
	for i := range 100 {
		join(fmt.Sprint("live", i), time.Minute)
	}
	line, err := rdb.HGet(t.Context(), "concord:lock:n:{long}", "q").Result()
	require.NoError(t, err)
	require.NotContains(t, line, "dead", "a line that does not move must lose its dead")
}

func TestWatchAgainIsSubscribed(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	watcher := lock.New(redislock.New(s.Dial(t, nil), nil), &lock.Options{TTL: time.Minute}) // looks every 20 s by itself
	p := direct(t, s)
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := watcher.Watch(ctx, "again")
		require.NoError(t, err)
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		w, err := watcher.Watch(ctx, "again")
		require.NoError(t, err)
		lease, err := p.locks.Claim(t.Context(), lock.Claim{Dir: "again", Name: "n"})
		require.NoError(t, err)
		sees(t, w, 1)
		require.NoError(t, lease.Release())
		sees(t, w, 0)
		cancel()
	}
	require.NoError(t, watcher.Close(t.Context()))
}

func TestWatchOnAClosedClientEnds(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	rdb := s.Dial(t, nil)
	l := lock.New(redislock.New(rdb, nil), nil)
	w, err := l.Watch(t.Context(), "closed")
	require.NoError(t, err)
	require.NoError(t, rdb.Close())
	start := time.Now()
	var last error
	for _, err := range w.All(t.Context()) {
		last = err
	}
	require.True(t, errors.Is(last, redis.ErrClosed), "%v", last)
	require.Less(t, time.Since(start), 10*time.Second)
	require.NoError(t, l.Close(t.Context()))
}
