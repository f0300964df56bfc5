package redisretry_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/redisretry"
)

func ExampleClassify() {
	p, err := retry.New(&retry.Options{Classify: redisretry.Classify})
	if err != nil {
		log.Fatal(err)
	}
	err = p.Do(context.Background(), func(context.Context) error { return redis.Nil })
	fmt.Println(err)
	// Output: retry: gave up after 1 attempt (permanent, nil): redis: nil
}

func ExampleAddTo() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", MaxRetries: -1})
	defer rdb.Close()
	// INCR must not be done twice, so it is repeated only where it was not done.
	if err := redisretry.AddTo(rdb, &retry.Options{Attempts: 4, Unsafe: true}); err != nil {
		log.Fatal(err)
	}
	n, err := rdb.Incr(ctx, "visits").Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n)
}
