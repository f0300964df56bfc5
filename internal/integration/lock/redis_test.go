package lock_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// The suite also runs on RESP2, and on the stand-in, so that what runs where no Redis is installed is known to hold as
// well.
func TestConformanceOfRedisVariants(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]stores.Redis{
		"RESP2":    stores.AnyRedis(t).With(func(o *redis.Options) { o.Protocol = 2 }),
		"stand-in": stores.MiniRedis(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, s, faultproxy.Faults{})
		})
	}
}

func TestRedisPrefixesAreIndependent(t *testing.T) {
	t.Parallel()
	s := stores.AnyRedis(t)
	one := lock.New(redislock.New(s.Dial(t, nil), &redislock.Options{Prefix: "one:"}), nil)
	two := lock.New(redislock.New(s.Dial(t, nil), &redislock.Options{Prefix: "two:"}), nil)
	a, err := one.TryAcquire(t.Context(), "a")
	require.NoError(t, err)
	b, err := two.TryAcquire(t.Context(), "a")
	require.NoError(t, err)
	keys, err := s.Dial(t, nil).Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"one:n:{a}", "two:n:{a}"}, keys)
	require.NoError(t, a.Release())
	require.NoError(t, b.Release())
}

func TestInfoKnowsReplicas(t *testing.T) {
	t.Parallel()
	s := stores.RealRedis(t)
	info, err := redislock.New(s.Dial(t, nil), nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.SingleNode, info.Guarantee)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{})
	defer cluster.Close()
	info, err = redislock.New(cluster, nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.AsyncReplicated, info.Guarantee)
}
