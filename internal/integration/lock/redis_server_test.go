package lock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/redislock"
)

func TestServerClockSteps(t *testing.T) { // T13
	t.Parallel()
	s := stores.MiniRedis(t) // the one server whose clock can be set
	now := time.Now()
	s.Mini().SetTime(now)
	p := direct(t, s)
	last := p.acquire(t, "clock")
	for _, step := range []time.Duration{-10 * time.Second, 20 * time.Second, -10 * time.Minute} {
		now = now.Add(step)
		s.Mini().SetTime(now)
		if err := last.Release(); step < 0 {
			require.NoError(t, err, "a clock that steps back ends no lease")
		} else {
			require.ErrorIs(t, err, lock.ErrLost, "one that steps forward by more than the TTL ends it early")
		}
		next := p.acquire(t, "clock")
		require.Greater(t, next.Token(), last.Token(), "a token must not fall when the clock does")
		last = next
	}
	// The clock stands still; renewals count from the client's own.
	time.Sleep(ttl * 3 / 2)
	require.NoError(t, last.Context().Err(), "a TTL is relative: a clock that stepped back ends no lease")
	s.Mini().SetTime(now.Add(-time.Minute))
	time.Sleep(ttl)
	require.NoError(t, last.Context().Err())
	require.NoError(t, last.Release())
}

func TestLostDataIsALoss(t *testing.T) { // T15
	t.Parallel()
	s := stores.AnyRedis(t)
	admin := s.Dial(t, nil)
	for name, destroy := range map[string]func() error{
		"FLUSHALL": func() error { return admin.FlushAll(t.Context()).Err() },
		"DEL":      func() error { return admin.Del(t.Context(), "concord:lock:n:{data}").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			p := direct(t, s)
			lease := p.acquire(t, "data")
			require.NoError(t, destroy())
			within(t, ttl/3+slack, lease.Context().Done(), "the next renewal must report the loss")
			require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
			next := p.acquire(t, "data")
			require.Greater(t, next.Token(), lease.Token(), "a token must grow though the server forgot the last one")
			require.NoError(t, next.Release())
		})
	}
}

func TestScriptsAreLoadedAgain(t *testing.T) { // T16
	t.Parallel()
	s := stores.AnyRedis(t)
	p, admin := direct(t, s), s.Dial(t, nil)
	var leases []*lock.Lease
	for i := range 100 {
		leases = append(leases, p.acquire(t, fmt.Sprint("script-", i)))
	}
	require.NoError(t, admin.ScriptFlush(t.Context()).Err())
	time.Sleep(ttl)
	require.NoError(t, admin.ScriptFlush(t.Context()).Err())
	for _, lease := range leases {
		require.NoError(t, lease.Context().Err(), "renewals must load their script again")
		require.NoError(t, lease.Release())
	}
	require.NoError(t, admin.ScriptFlush(t.Context()).Err())
	require.NoError(t, p.acquire(t, "script").Release())
}

func TestRestartWithoutPersistence(t *testing.T) { // T16
	t.Parallel()
	s := stores.RealRedis(t)
	p := direct(t, s)
	lease := p.acquire(t, "restart")
	s.Restart()
	within(t, ttl+slack, lease.Context().Done(), "a renewal must report the loss")
	next := p.acquire(t, "restart")
	require.Greater(t, next.Token(), lease.Token())
	require.NoError(t, next.Release())
}

func TestServerThatIsAway(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	p := direct(t, s)
	require.NoError(t, p.acquire(t, "away").Release())
	s.Kill()
	_, err := p.locks.TryAcquire(t.Context(), "away")
	require.ErrorIs(t, err, lock.ErrUnknownOutcome)
	s.Restart()
	require.NoError(t, p.acquire(t, "away").Release())
}

func TestForeignData(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	admin := s.Dial(t, nil)
	p := direct(t, s)
	const key = "concord:lock:n:{foreign}"
	put := func(field, value string) func() error {
		return func() error { return admin.HSet(t.Context(), key, field, value).Err() }
	}
	good := "\nid1 1 1 5"
	for name, write := range map[string]func() error{
		"a string":                      func() error { return admin.Set(t.Context(), key, "mine", 0).Err() },
		"a list":                        func() error { return admin.RPush(t.Context(), key, "mine").Err() },
		"a set":                         func() error { return admin.SAdd(t.Context(), key, "mine").Err() },
		"no number":                     put("t", "mine"),
		"a token of 2^53":               put("t", "9007199254740992"),
		"NaN":                           put("t", "nan"),
		"a negative token":              put("t", "-1"),
		"no record":                     put("h", "mine"),
		"a short record":                put("h", "\nid1 1 1"),
		"more than a record":            put("h", good+" x"),
		"a holder above the last token": put("h", good),
		"a holder over 2^53": func() error {
			return admin.HSet(t.Context(), key, "t", "7", "h", "\nid1 1 1 9007199254740992").Err()
		},
		"weight above capacity": func() error { return admin.HSet(t.Context(), key, "t", "7", "h", "\nid1 2 1 5").Err() },
		"an end that is none":   func() error { return admin.HSet(t.Context(), key, "t", "7", "h", good, "xid1", "mine").Err() },
		"no waiter":             put("q", "mine"),
		"half a waiter":         put("q", "\nid1 1 1"),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, admin.Del(t.Context(), key).Err())
			require.NoError(t, write())
			_, err := p.locks.TryAcquire(t.Context(), "foreign")
			require.ErrorIs(t, err, lock.ErrCorrupt, "foreign data is an error, never a grant")
			b := redislock.New(s.Dial(t, nil), nil)
			c := lock.Claim{Name: "foreign", ID: "id", Weight: 1, Capacity: 1, TTL: ttl}
			_, err = b.Renew(t.Context(), []lock.Claim{c})
			if strings.Contains(name, "waiter") { // not looked at
				return
			}
			require.ErrorIs(t, err, lock.ErrCorrupt)
			_, err = b.Release(t.Context(), c)
			require.ErrorIs(t, err, lock.ErrCorrupt)
			_, err = b.SetValue(t.Context(), c)
			require.ErrorIs(t, err, lock.ErrCorrupt)
		})
	}
	require.NoError(t, admin.Del(t.Context(), key).Err())
	require.NoError(t, p.acquire(t, "foreign").Release())
	require.NoError(t, admin.Set(t.Context(), "concord:lock:d:{dir}", "mine", 0).Err())
	_, err := p.locks.Watch(t.Context(), "dir")
	require.ErrorIs(t, err, lock.ErrCorrupt)
}

func TestRepeatedReleaseSaysTheSame(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	b := redislock.New(s.Dial(t, nil), nil)
	c := lock.Claim{Name: "twice", ID: "id", Weight: 1, Capacity: 1, TTL: ttl}
	_, err := b.Acquire(t.Context(), c, func(lock.State) {})
	require.NoError(t, err)
	for range 2 { // go-redis repeats a command whose answer was lost
		was, err := b.Release(t.Context(), c)
		require.NoError(t, err)
		require.True(t, was, "a release whose answer was lost must not look like a loss")
	}
}

func TestFencedWrites(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	rdb := s.Dial(t, nil)
	f := redislock.NewFence(rdb)
	for _, key := range []string{"balance", "a{tag}b", "ü\n"} {
		require.NoError(t, f.Set(t.Context(), key, "1", 0, 7))
		require.NoError(t, f.Set(t.Context(), key, 2, 0, 8))
		require.ErrorIs(t, f.Set(t.Context(), key, 3, 0, 7), fence.ErrStale)
		require.ErrorIs(t, f.Del(t.Context(), key, 7), fence.ErrStale)
		require.Equal(t, "2", rdb.Get(t.Context(), key).Val())
		require.NoError(t, f.Set(t.Context(), key, 3, time.Hour, 8))
		require.Positive(t, rdb.TTL(t.Context(), key).Val())
		require.NoError(t, f.Del(t.Context(), key, 9))
		require.ErrorIs(t, f.Set(t.Context(), key, 3, 0, 8), fence.ErrStale, "a mark outlives its key")
	}
	require.NoError(t, f.Set(t.Context(), "{balance}", 1, 0, 1), "a key has a mark of its own")
	for _, key := range []string{"", "a}", "{}a", "a{b"} {
		require.ErrorIs(t, f.Set(t.Context(), key, 1, 0, 1), lock.ErrInvalid, key)
	}
	require.ErrorIs(t, f.Set(t.Context(), "k", 1, time.Microsecond, 1), lock.ErrInvalid)
	require.ErrorIs(t, f.Set(t.Context(), "k", 1, 0, 0), lock.ErrInvalid)
	require.ErrorIs(t, f.Set(t.Context(), "k", 1, 0, 1<<53), lock.ErrInvalid)
	require.NoError(t, rdb.Set(t.Context(), "fence:{k}", "mine", 0).Err())
	require.ErrorIs(t, f.Set(t.Context(), "k", 1, 0, 1), lock.ErrCorrupt)
}
