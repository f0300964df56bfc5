package containers

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/testcontainers/testcontainers-go"
)

const redisPort = "6379/tcp"

// quiet keeps go-redis from writing to stderr about every connection that a test breaks on purpose.
var quiet = sync.OnceFunc(logging.Disable)

// Redis is a server without persistence.
type Redis struct{ *Server }

// StartRedis returns when the server answers. It runs until t ends. Where it cannot run, t is skipped or fails, as
// [Require] says.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	need(t, redisImage)
	r := &Redis{start(t, redisImage, redisPort,
		testcontainers.WithCmd("--save", "", "--appendonly", "no", "--protected-mode", "no"))}
	rdb := r.dial(nil)
	defer rdb.Close()
	await(t, "Redis must answer", func(ctx context.Context) error { return rdb.Ping(ctx).Err() })
	return r
}

// Dial returns a client that is closed when t ends. It has go-redis's default options but for what mod, which may be
// nil, changes.
func (r *Redis) Dial(t testing.TB, mod func(*redis.Options)) *redis.Client {
	t.Helper()
	rdb := r.dial(mod)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func (r *Redis) dial(mod func(*redis.Options)) *redis.Client {
	quiet()
	o := &redis.Options{Addr: r.addr}
	if mod != nil {
		mod(o)
	}
	return redis.NewClient(o)
}
