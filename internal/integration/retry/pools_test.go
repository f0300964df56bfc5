package retry_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/natsserver"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/natsbudget"
	"github.com/concordkit/concord/retry/redisbudget"
)

// store keeps the buckets of a test.
type store interface {
	// links returns the links of a new process to the store.
	links(t testing.TB) faultproxy.Links
	// connect returns a Pool with a client of its own, by those links, or without any.
	connect(t testing.TB, links faultproxy.Links) retry.Pool
}

// durable is a store of one server that keeps what it acknowledges.
type durable interface {
	store
	crash()
}

type redisStore struct {
	*redisserver.Server
	mod func(*redis.Options)
}

func (s redisStore) links(t testing.TB) faultproxy.Links { return faultproxy.Links{s.Proxy(t)} }

func (s redisStore) connect(t testing.TB, links faultproxy.Links) retry.Pool {
	if len(links) == 0 {
		return redisbudget.New(s.Dial(t, s.mod), nil)
	}
	return redisbudget.New(s.DialThrough(t, links[0], s.mod), nil)
}

func (s redisStore) crash() { s.Restart() }

func heedful(o *redis.Options) { o.ContextTimeoutEnabled = true }

type natsStore struct{ *natsserver.Cluster }

const kvName = "budgets"

func newNATS(t *testing.T, nodes int) natsStore {
	s := natsStore{natsserver.Start(t, nodes)}
	s.Bucket(t, kvName, nil)
	return s
}

func (s natsStore) links(t testing.TB) faultproxy.Links { return s.Links(t) }

func (s natsStore) connect(t testing.TB, links faultproxy.Links) retry.Pool {
	if len(links) == 0 {
		return natsbudget.New(keyValue(t, s.Dial(t)), nil)
	}
	return natsbudget.New(keyValue(t, s.DialThrough(t, links, nil)), nil)
}

func (s natsStore) crash() { s.Restart(0) }

func keyValue(t testing.TB, nc *nats.Conn) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	kv, err := js.KeyValue(t.Context(), kvName)
	require.NoError(t, err)
	return kv
}

// onEach runs a test on every engine, side by side. Redis has a stand-in where it is not installed.
func onEach(t *testing.T, test func(t *testing.T, s store)) {
	on(t, map[string]func(t *testing.T) store{
		"redis": func(t *testing.T) store { return redisStore{redisserver.StartOrMini(t), nil} },
		"redis with deadlines": func(t *testing.T) store {
			return redisStore{redisserver.StartOrMini(t), heedful}
		},
		"nats":         func(t *testing.T) store { return newNATS(t, 1) },
		"nats cluster": func(t *testing.T) store { return newNATS(t, 3) },
	}, test)
}

// onDurable runs a test on every engine whose server can lose its memory and keep its data.
func onDurable(t *testing.T, test func(t *testing.T, s durable)) {
	on(t, map[string]func(t *testing.T) durable{
		"redis": func(t *testing.T) durable {
			return redisStore{redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always"), nil}
		},
		"nats": func(t *testing.T) durable { return newNATS(t, 1) },
	}, test)
}

func on[S store](t *testing.T, open map[string]func(t *testing.T) S, test func(t *testing.T, s S)) {
	t.Parallel()
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
