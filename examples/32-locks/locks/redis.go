package locks

import (
	"cmp"
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/redislock"
)

func openRedis(addr string) engine {
	rdb := redis.NewClient(&redis.Options{Addr: cmp.Or(addr, "localhost:6379"), ContextTimeoutEnabled: true})
	return engine{
		commands: "SET NX and DEL",
		store:    onRedis{rdb},
		connect:  func() lock.Backend { return redislock.New(rdb, &redislock.Options{Prefix: "example:lock:"}) },
		ttl:      shortTTL,
		close:    func() { rdb.Close() },
	}
}

type onRedis struct{ rdb *redis.Client }

func (r onRedis) SetNX(ctx context.Context, key, owner string) (bool, error) {
	_, err := r.rdb.SetArgs(ctx, key, owner, redis.SetArgs{Mode: "NX", TTL: shortTTL}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

func (r onRedis) Del(ctx context.Context, key string) error { return r.rdb.Del(ctx, key).Err() }
