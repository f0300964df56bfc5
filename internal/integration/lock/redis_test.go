package lock_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// redisStore is one Redis, and what its clients change in their options.
type redisStore struct {
	*redisserver.Server
	mod func(*redis.Options)
}

func anyRedis(t *testing.T) *redisStore {
	t.Helper()
	return &redisStore{Server: redisserver.StartOrMini(t)}
}

func realRedis(t *testing.T, args ...string) *redisStore {
	t.Helper()
	return &redisStore{Server: redisserver.Start(t, args...)}
}

func miniRedis(t *testing.T) *redisStore {
	t.Helper()
	return &redisStore{Server: redisserver.StartMini(t)}
}

// with returns the same server for clients with other options.
func (s *redisStore) with(mod func(*redis.Options)) *redisStore { return &redisStore{s.Server, mod} }

func (s *redisStore) links(t *testing.T) faultproxy.Links { return faultproxy.Links{s.Proxy(t)} }

func (s *redisStore) dial(t *testing.T, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return redislock.New(s.Dial(t, s.mod), nil)
	}
	return redislock.New(s.DialThrough(t, links[0], s.mod), nil)
}

func (s *redisStore) restart(*testing.T) { s.Restart() }

// heedful makes go-redis apply the deadlines of contexts to its connections, which it does not by default.
func heedful(o *redis.Options) { o.ContextTimeoutEnabled = true }

// The suite also runs on RESP2, and on the stand-in, so that what runs where no Redis is installed is known to hold as
// well.
func TestConformanceOfRedisVariants(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*redisStore{
		"RESP2":    anyRedis(t).with(func(o *redis.Options) { o.Protocol = 2 }),
		"stand-in": miniRedis(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, s, faultproxy.Faults{})
		})
	}
}

func TestRedisPrefixesAreIndependent(t *testing.T) {
	t.Parallel()
	s := anyRedis(t)
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
	s := realRedis(t)
	info, err := redislock.New(s.Dial(t, nil), nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.SingleNode, info.Guarantee)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{})
	defer cluster.Close()
	info, err = redislock.New(cluster, nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.AsyncReplicated, info.Guarantee)
}
