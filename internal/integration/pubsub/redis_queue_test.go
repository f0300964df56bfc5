package pubsub_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/pubsubtest"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// redisQueueLease is long enough that a loaded machine serves a request within a third of it.
const redisQueueLease = time.Second

// redisQueueStore returns queues without topics on one server: each store has a prefix of its own, each connection a client.
func redisQueueStore(s *redisserver.Server, o redispubsub.QueueOptions, faults *faultproxy.Faults, mod func(*redis.Options)) func(t *testing.T) func() pubsub.QueueBackend {
	return func(t *testing.T) func() pubsub.QueueBackend {
		o := o
		o.Prefix = pubsub.NewID() + ":"
		return func() pubsub.QueueBackend {
			if faults == nil {
				return redispubsub.NewQueue(s.Dial(t, mod), &o)
			}
			p := s.Proxy(t)
			p.Set(*faults)
			return redispubsub.NewQueue(s.DialThrough(t, p, mod), &o)
		}
	}
}

func TestRedisQueue(t *testing.T) {
	t.Parallel()
	redisserver.Require(t)
	s := redisserver.Start(t)
	cluster := redisserver.StartCluster(t)
	var all sync.WaitGroup // they wait for time more than they work: as many as there are, whatever -parallel says
	run := func(name string, partitions int, tooLarge int, store func(o redispubsub.QueueOptions) func(*testing.T) func() pubsub.QueueBackend) {
		all.Go(func() {
			t.Run(fmt.Sprint(name, " ", partitions), func(t *testing.T) {
				pubsubtest.RunQueue(t, store(redispubsub.QueueOptions{Partitions: partitions}),
					&pubsubtest.QueueOptions{Lease: redisQueueLease, TooLarge: tooLarge})
			})
		})
	}
	for _, c := range []struct {
		name       string
		partitions []int
		faults     *faultproxy.Faults
		mod        func(*redis.Options)
	}{
		{"plain", []int{0, 4}, nil, nil},
		{"with deadlines", []int{0}, nil, stores.Heedful},
		{"RESP2 with short read deadlines", []int{4}, nil, func(o *redis.Options) { o.Protocol, o.ReadTimeout = 2, 100*time.Millisecond }},
		{"slow", []int{0, 4}, &faultproxy.Faults{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}, nil},
		{"torn", []int{0, 4}, &faultproxy.Faults{Chunk: 300}, stores.Heedful},
	} {
		for _, partitions := range c.partitions {
			tooLarge := 0
			if c.name == "plain" { // half a gigabyte at a time is enough
				tooLarge = 512 << 20
			}
			run(c.name, partitions, tooLarge, func(o redispubsub.QueueOptions) func(*testing.T) func() pubsub.QueueBackend {
				return redisQueueStore(s, o, c.faults, c.mod)
			})
		}
	}
	for _, partitions := range []int{0, 4} {
		run("cluster", partitions, 0, func(o redispubsub.QueueOptions) func(*testing.T) func() pubsub.QueueBackend {
			return func(t *testing.T) func() pubsub.QueueBackend {
				o.Prefix = pubsub.NewID() + ":"
				return func() pubsub.QueueBackend { return redispubsub.NewQueue(cluster.Dial(t, nil), &o) }
			}
		})
	}
	all.Wait()
}

func TestRedisQueueTellsItsDurability(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want pubsub.Durability
	}{
		{nil, pubsub.Volatile},
		{[]string{"--appendonly", "yes"}, pubsub.Buffered},
		{[]string{"--appendonly", "yes", "--appendfsync", "always"}, pubsub.Synced},
		{[]string{"--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes"}, pubsub.Buffered},
		{[]string{"--appendonly", "yes", "--appendfsync", "always", "--rename-command", "CONFIG", ""}, pubsub.Buffered},
		{[]string{"--rename-command", "INFO", ""}, pubsub.Volatile},
	} {
		s := redisserver.Start(t, c.args...)
		info, err := redispubsub.NewQueue(s.Dial(t, nil), nil).Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.want, info.Durability, c.args)
	}
}
