package redispubsub_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

func ExampleNewBus() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	bus := pubsub.NewBus(redispubsub.NewBus(rdb, nil), nil)
	defer bus.Close(ctx)
	if err := bus.Publish(ctx, "orders.created", pubsub.Message{ID: "42", Data: []byte("…")}); err != nil {
		log.Fatal(err)
	}
}
