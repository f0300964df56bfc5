// Package pubsub_test runs package pubsub against real servers and under faults.
package pubsub_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	redisserver.Report()
	flag.Parse()
	flag.Set("test.parallel", "8") // they wait for time and servers more than they work
	goleak.VerifyTestMain(m)
}

// engine is what carries the messages of a test.
type engine interface {
	// links returns the links of a new process, none where it has no proxies.
	links(t *testing.T) faultproxy.Links
	// connect returns a backend with a client of its own, by those links, or without any.
	connect(t *testing.T, links faultproxy.Links, prefix string) pubsub.BusBackend
}

type redisEngine struct {
	*redisserver.Server
	mod     func(*redis.Options)
	silence time.Duration
}

func (e redisEngine) links(t *testing.T) faultproxy.Links { return faultproxy.Links{e.Proxy(t)} }

func (e redisEngine) client(t *testing.T, links faultproxy.Links) *redis.Client {
	if len(links) == 0 {
		return e.Dial(t, e.mod)
	}
	return e.DialThrough(t, links[0], e.mod)
}

func (e redisEngine) connect(t *testing.T, links faultproxy.Links, prefix string) pubsub.BusBackend {
	return redispubsub.NewBus(e.client(t, links), &redispubsub.BusOptions{Silence: e.silence, Prefix: prefix})
}

type sentinelEngine struct{ *redisserver.Replicated }

func (e sentinelEngine) links(*testing.T) faultproxy.Links { return nil }

func (e sentinelEngine) connect(t *testing.T, _ faultproxy.Links, prefix string) pubsub.BusBackend {
	return redispubsub.NewBus(e.Dial(t, nil), &redispubsub.BusOptions{Silence: silence, Prefix: prefix})
}

type clusterEngine struct{ *redisserver.Cluster }

func (e clusterEngine) links(*testing.T) faultproxy.Links { return nil }

func (e clusterEngine) connect(t *testing.T, _ faultproxy.Links, prefix string) pubsub.BusBackend {
	return redispubsub.NewBus(e.Dial(t, nil), &redispubsub.BusOptions{Prefix: prefix})
}

type natsEngine struct{ *natsserver.Cluster }

func (e natsEngine) links(t *testing.T) faultproxy.Links { return e.Links(t) }

func (e natsEngine) client(t *testing.T, links faultproxy.Links) *nats.Conn {
	if len(links) == 0 {
		return e.Dial(t)
	}
	return e.DialThrough(t, links, impatient)
}

// impatient makes a client find a dead link as soon as the tests want.
func impatient(o *nats.Options) { o.PingInterval, o.MaxPingsOut = silence/3, 2 }

func (e natsEngine) connect(t *testing.T, links faultproxy.Links, prefix string) pubsub.BusBackend {
	return natspubsub.NewBus(e.client(t, links), &natspubsub.BusOptions{Settle: settle, Prefix: prefix})
}

// silence is how long a link may be dead before it is noticed.
const silence = time.Second

// settle is what nodes on one machine need by far not, also where it is busy.
const settle = 200 * time.Millisecond

// onEach runs a test on every engine. Redis has a stand-in where it is not installed.
func onEach(t *testing.T, test func(t *testing.T, e engine)) {
	on(t, map[string]func(t *testing.T) engine{
		"redis": func(t *testing.T) engine { return redisEngine{Server: realRedis(t)} },
		"redis with deadlines": func(t *testing.T) engine {
			return redisEngine{Server: realRedis(t), mod: func(o *redis.Options) { o.ContextTimeoutEnabled = true }}
		},
		"redis cluster": func(t *testing.T) engine { redisserver.Require(t); return clusterEngine{redisserver.StartCluster(t)} },
		"redis sentinel": func(t *testing.T) engine {
			redisserver.Require(t)
			return sentinelEngine{redisserver.StartReplicated(t)}
		},
		"nats":         func(t *testing.T) engine { return natsEngine{natsserver.Start(t, 1)} },
		"nats cluster": func(t *testing.T) engine { return natsEngine{natsserver.Start(t, 3)} },
	}, test)
}

// onServers runs a test on one server of each kind.
func onServers(t *testing.T, test func(t *testing.T, e engine)) {
	on(t, map[string]func(t *testing.T) engine{
		"redis": func(t *testing.T) engine { return redisEngine{Server: redisserver.Start(t)} },
		"nats":  func(t *testing.T) engine { return natsEngine{natsserver.Start(t, 1)} },
	}, test)
}

func on(t *testing.T, open map[string]func(t *testing.T) engine, test func(t *testing.T, e engine)) {
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// newBus returns a Bus that is closed when t ends.
func newBus(t *testing.T, b pubsub.BusBackend) *pubsub.Bus {
	bus := pubsub.NewBus(b, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		bus.Close(ctx)
	})
	return bus
}

func subscribe(t *testing.T, bus *pubsub.Bus, pattern string, o *pubsub.SubscribeOptions) *pubsub.Subscription {
	t.Helper()
	s, err := bus.Subscribe(t.Context(), pattern, o)
	require.NoError(t, err)
	return s
}

// realRedis starts a server. The stand-in matches some glob patterns in its own way.
func realRedis(t *testing.T) *redisserver.Server {
	t.Helper()
	redisserver.Require(t)
	return redisserver.Start(t)
}

// buries reports whether burying has made a dead letter.
func buries(t *testing.T, c pubsub.QueueConsumer, r pubsub.Received, d pubsub.DeadLetter) bool {
	t.Helper()
	buried, err := c.Bury(t.Context(), r.Receipt, d)
	require.NoError(t, err)
	return buried
}
