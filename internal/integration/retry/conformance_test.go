package retry_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/budgettest"
	"github.com/concordkit/concord/retry/redisbudget"
)

// The suite runs on each engine as it is, over a slow link, and over one that tears frames.
func TestConformance(t *testing.T) {
	onEach(t, func(t *testing.T, s store) {
		for name, f := range map[string]faultproxy.Faults{
			"plain":       {},
			"slow link":   {Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond},
			"torn frames": {Chunk: 7},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				budgettest.Run(t, func(t *testing.T) func() retry.Pool {
					return func() retry.Pool {
						links := s.links(t)
						links.Set(f)
						return s.connect(t, links)
					}
				}, nil)
			})
		}
	})
}

func TestConformanceOnRedisCluster(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t)
	budgettest.Run(t, func(t *testing.T) func() retry.Pool {
		return func() retry.Pool { return redisbudget.New(c.Dial(t, nil), nil) }
	}, nil)
}

func TestConformanceOnReplicatedRedis(t *testing.T) {
	t.Parallel()
	r := redisserver.StartReplicated(t)
	budgettest.Run(t, func(t *testing.T) func() retry.Pool {
		return func() retry.Pool {
			return redisbudget.New(r.Dial(t, func(o *redis.FailoverOptions) { o.ContextTimeoutEnabled = true }), nil)
		}
	}, nil)
}
