package redispubsub_test

import (
	"context"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

func ExampleNewQueue() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	queue := pubsub.NewQueue(redispubsub.NewQueue(rdb, &redispubsub.QueueOptions{Partitions: 16}), nil)

	err := queue.Publish(ctx, "invoices", pubsub.Message{ID: "invoice-42", Key: "customer-7", Data: []byte("…")})
	if err != nil {
		log.Fatal(err) // publish it again with the same ID: it is stored once
	}
	consumer, err := queue.Consume(ctx, "invoices", "mailer", func(ctx context.Context, d *pubsub.Delivery) error {
		fmt.Println(d.ID, d.Key, d.Attempt)
		return nil
	}, &pubsub.ConsumeOptions{Lease: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	<-consumer.Done()
}
