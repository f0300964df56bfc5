package redisbudget_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/redisbudget"
)

func ExampleNew() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	// All processes that call billing make 50 retries a second together, and 1000 at once at most.
	budget, err := retry.NewSharedBudget(redisbudget.New(rdb, nil), "billing", &retry.SharedOptions{Max: 1000, PerSecond: 50})
	if err != nil {
		log.Fatal(err)
	}
	defer budget.Close(ctx)
	p, err := retry.New(&retry.Options{Budget: budget})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Do(ctx, func(context.Context) error { return nil }); err != nil {
		log.Fatal(err)
	}
}
