package stores

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/redisserver"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

// Redis is one Redis, and what its clients change in their options.
type Redis struct {
	*redisserver.Server
	mod func(*redis.Options)
}

// AnyRedis starts a Redis, or where none is installed its stand-in, until t ends.
func AnyRedis(t testing.TB) Redis {
	t.Helper()
	return Redis{Server: redisserver.StartOrMini(t)}
}

// RealRedis starts a Redis with those arguments until t ends.
func RealRedis(t testing.TB, args ...string) Redis {
	t.Helper()
	return Redis{Server: redisserver.Start(t, args...)}
}

// MiniRedis starts the stand-in until t ends.
func MiniRedis(t testing.TB) Redis {
	t.Helper()
	return Redis{Server: redisserver.StartMini(t)}
}

// With returns the same server for clients with other options.
func (s Redis) With(mod func(*redis.Options)) Redis { return Redis{s.Server, mod} }

// Heedful makes go-redis apply the deadlines of contexts to its connections, which it does not by default.
func Heedful(o *redis.Options) { o.ContextTimeoutEnabled = true }

// Links implements Store.
func (s Redis) Links(t testing.TB) faultproxy.Links {
	t.Helper()
	return faultproxy.Links{s.Proxy(t)}
}

// Connect implements Store.
func (s Redis) Connect(t testing.TB, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return redislock.New(s.Dial(t, s.mod), nil)
	}
	return redislock.New(s.DialThrough(t, links[0], s.mod), nil)
}

// Crash implements Durable.
func (s Redis) Crash() { s.Restart() }
