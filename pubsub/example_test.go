package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
)

func ExampleBus() {
	ctx := context.Background()
	bus := pubsub.NewBus(mempubsub.NewBus(), nil)
	sub, err := bus.Subscribe(ctx, "orders.*", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := bus.Publish(ctx, "orders.created", pubsub.Message{Key: "42", Data: []byte("three books")}); err != nil {
		log.Fatal(err)
	}
	for m, err := range sub.All(ctx) {
		if errors.Is(err, pubsub.ErrGap) {
			continue // something may be missing: look at the source
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s: %s\n", m.Topic, m.Key, m.Data)
		break // in an example
	}
	// Output: orders.created 42: three books
}

func ExampleBus_Close() {
	ctx := context.Background()
	bus := pubsub.NewBus(mempubsub.NewBus(), nil)
	sub, err := bus.Subscribe(ctx, "jobs.>", &pubsub.SubscribeOptions{Buffer: 100, Overflow: pubsub.Block})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		for _, err := range sub.All(ctx) {
			if err != nil {
				fmt.Println(n, errors.Is(err, pubsub.ErrClosed))
				return
			}
			n++
		}
	}()
	for range 1000 {
		if err := bus.Publish(ctx, "jobs.done", pubsub.Message{}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bus.Close(ctx)) // returns when the loop has had everything
	<-done
	// Unordered output:
	// <nil>
	// 1000 true
}
