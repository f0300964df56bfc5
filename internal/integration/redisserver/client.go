package redisserver

import (
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// quiet keeps go-redis from writing to stderr about every connection that a test breaks on purpose.
var quiet = sync.OnceFunc(logging.Disable)

// Dial returns a client that is connected to the server without a proxy and closed when t ends. It has go-redis's
// default options but for what mod, which may be nil, changes.
func (s *Server) Dial(t testing.TB, mod func(*redis.Options)) *redis.Client {
	t.Helper()
	return dial(t, &redis.Options{Network: s.network, Addr: s.addr}, mod)
}

// DialThrough is like [Server.Dial] but connects by way of p, one of the server's proxies.
func (s *Server) DialThrough(t testing.TB, p *faultproxy.Proxy, mod func(*redis.Options)) *redis.Client {
	t.Helper()
	return dial(t, &redis.Options{Network: "tcp", Addr: p.Addr()}, mod)
}

func dial(t testing.TB, o *redis.Options, mod func(*redis.Options)) *redis.Client {
	quiet()
	if mod != nil {
		mod(o)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}
