package redislock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/fence"
	"github.com/concordkit/concord/lock/redislock"
)

func ExampleNew() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	locks := lock.New(redislock.New(rdb, nil), nil)
	defer locks.Close(ctx)
	lease, err := locks.Acquire(ctx, "invoice-42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println("alone until", lease.Expires())
}

func ExampleNewFence() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	locks := lock.New(redislock.New(rdb, nil), nil)
	balances := redislock.NewFence(rdb)
	err := locks.Do(ctx, "account-7", func(ctx context.Context, lease *lock.Lease) error {
		return balances.Set(ctx, "balance:7", "100", 0, lease.Token())
	})
	if errors.Is(err, fence.ErrStale) {
		fmt.Println("a later holder has written already")
	}
}
