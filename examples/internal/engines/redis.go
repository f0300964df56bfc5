package engines

import (
	"cmp"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

func openRedis(addr string) Engine {
	rdb := redis.NewClient(&redis.Options{Addr: cmp.Or(addr, "localhost:6379"), ContextTimeoutEnabled: true})
	return Engine{
		Connect: func() lock.Backend { return redislock.New(rdb, &redislock.Options{Prefix: "example:lock:"}) },
		TTL:     shortTTL,
		Client:  rdb,
		Close:   func() { rdb.Close() },
	}
}
