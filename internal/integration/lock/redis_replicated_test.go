package lock_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/locktest"
	"github.com/concordkit/concord/lock/redislock"
)

func TestConformanceOnCluster(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t)
	locktest.Run(t, func(t *testing.T) func() lock.Backend {
		return func() lock.Backend { return redislock.New(c.Dial(t, nil), nil) }
	}, &locktest.Options{TTL: ttl})
}

func TestConformanceOnReplicated(t *testing.T) {
	t.Parallel()
	r := redisserver.StartReplicated(t)
	for name, min := range map[string]int{"no replicas": 0, "one replica": 1} {
		t.Run(name, func(t *testing.T) {
			locktest.Run(t, func(t *testing.T) func() lock.Backend {
				return func() lock.Backend {
					return redislock.New(r.Dial(t, nil), &redislock.Options{MinReplicas: min})
				}
			}, &locktest.Options{TTL: ttl})
		})
	}
}

func TestScriptsAreLoadedOnEachNode(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t)
	rdb := c.Dial(t, nil)
	l := lock.New(redislock.New(rdb, nil), &lock.Options{TTL: ttl})
	all, err := l.AcquireAll(t.Context(), "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
	require.NoError(t, err)
	require.NoError(t, rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		return node.ScriptFlush(ctx).Err()
	}))
	time.Sleep(ttl * 3 / 2)
	require.NoError(t, all.Context().Err())
	require.NoError(t, all.Release())
	require.NoError(t, l.Close(t.Context()))
}

// A failover loses a grant that the replica has not seen: both hold, and the fence must tell them apart.
func TestFailoverThatLosesAGrant(t *testing.T) { // T12
	t.Parallel()
	r := redisserver.StartReplicated(t)
	const long = 15 * time.Second
	old := lock.New(redislock.New(r.Dial(t, nil), nil), &lock.Options{TTL: long})
	careful := lock.New(redislock.New(r.Dial(t, nil), &redislock.Options{MinReplicas: 1}), &lock.Options{TTL: ttl})
	lease, err := careful.Acquire(t.Context(), "kept")
	require.NoError(t, err)
	require.NoError(t, lease.Release())

	r.CutReplica(true)
	first, err := old.Acquire(t.Context(), "failover")
	require.NoError(t, err)
	_, err = careful.Acquire(t.Context(), "careful")
	require.ErrorIs(t, err, redislock.ErrNotReplicated, "a grant that no replica has must not count")

	r.Master.Kill()
	second := afterFailover(t, r)
	require.NoError(t, first.Context().Err(), "the first one cannot know yet: this is the documented limit")
	require.Greater(t, second.Token(), first.Token(), "two holders must have distinct tokens that grow")
	var guard fence.Guard
	require.NoError(t, guard.Do("failover", second.Token(), func() error { return nil }))
	require.ErrorIs(t, guard.Do("failover", first.Token(), func() error { return nil }), fence.ErrStale)
	within(t, long/3+slack, first.Context().Done(), "the first one must be told by its next renewal")
	require.ErrorIs(t, first.Release(), lock.ErrLost)
	require.NoError(t, second.Context().Err())
	require.NoError(t, second.Release())
	for _, l := range []*lock.Locker{old, careful} {
		ctx, stop := context.WithTimeout(t.Context(), 2*long)
		defer stop()
		require.NoError(t, l.Close(ctx))
	}
}

// afterFailover acquires the lock from the promoted replica.
func afterFailover(t *testing.T, r *redisserver.Replicated) *lock.Lease {
	t.Helper()
	rdb := r.Dial(t, nil)
	l := lock.New(redislock.New(rdb, nil), &lock.Options{TTL: ttl})
	t.Cleanup(func() { l.Close(context.Background()) })
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		lease, err := l.TryAcquire(t.Context(), "failover")
		if err == nil {
			return lease
		}
		require.Less(t, time.Since(start), 20*time.Second, "no failover: %v", err)
	}
}

func TestReplicaThatFallsBehindEndsLeases(t *testing.T) {
	t.Parallel()
	r := redisserver.StartReplicated(t)
	l := lock.New(redislock.New(r.Dial(t, nil), &redislock.Options{MinReplicas: 1}), &lock.Options{TTL: ttl})
	lease, err := l.Acquire(t.Context(), "behind")
	require.NoError(t, err)
	time.Sleep(ttl * 3 / 2)
	require.NoError(t, lease.Context().Err())
	r.CutReplica(true)
	within(t, 2*ttl, lease.Context().Done(), "a lease whose renewals no replica has must end")
	require.ErrorIs(t, context.Cause(lease.Context()), lock.ErrLost)
	r.CutReplica(false)
	require.NoError(t, l.Close(t.Context()))
}

func TestNegativeMinReplicas(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	_, err := lock.New(redislock.New(rdb, &redislock.Options{MinReplicas: -1}), nil).Acquire(t.Context(), "a")
	require.ErrorIs(t, err, lock.ErrInvalid)
	require.ErrorContains(t, err, "MinReplicas -1")
}
