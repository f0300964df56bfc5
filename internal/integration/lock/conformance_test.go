package lock_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/locktest"
	"github.com/concordkit/concord/lock/redislock"
)

// The suite runs against a server as it is, over a slow link, over one that tears frames, with contexts on the wire, on
// RESP2, and on the stand-in, so that what runs where no Redis is installed is known to hold as well.
func TestConformance(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
	for name, run := range map[string]struct {
		faults faultproxy.Faults
		mod    func(*redis.Options)
	}{
		"plain":       {},
		"slow link":   {faults: faultproxy.Faults{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}},
		"torn frames": {faults: faultproxy.Faults{Chunk: 7}},
		"deadlines":   {mod: heedful},
		"RESP2":       {mod: func(o *redis.Options) { o.Protocol = 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, s, run.faults, run.mod)
		})
	}
	t.Run("stand-in", func(t *testing.T) {
		t.Parallel()
		conformance(t, redisserver.StartMini(t), faultproxy.Faults{}, nil)
	})
}

func conformance(t *testing.T, s *redisserver.Server, f faultproxy.Faults, mod func(*redis.Options)) {
	locktest.Run(t, func(t *testing.T) func() lock.Backend {
		return func() lock.Backend {
			p := s.Proxy(t)
			p.Set(f)
			return redislock.New(s.DialThrough(t, p, mod), nil)
		}
	}, &locktest.Options{TTL: ttl})
}

func TestPrefixesAreIndependent(t *testing.T) {
	t.Parallel()
	s := redisserver.StartOrMini(t)
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
	s := redisserver.Start(t)
	info, err := redislock.New(s.Dial(t, nil), nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.SingleNode, info.Guarantee)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{})
	defer cluster.Close()
	info, err = redislock.New(cluster, nil).Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, lock.AsyncReplicated, info.Guarantee)
}
