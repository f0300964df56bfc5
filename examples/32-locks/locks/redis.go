package locks

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

type onRedis struct {
	rdb *redis.Client
	ttl time.Duration
}

func (r onRedis) SetNX(ctx context.Context, key, owner string) (bool, error) {
	_, err := r.rdb.SetArgs(ctx, key, owner, redis.SetArgs{Mode: "NX", TTL: r.ttl}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

func (r onRedis) Del(ctx context.Context, key string) error { return r.rdb.Del(ctx, key).Err() }
