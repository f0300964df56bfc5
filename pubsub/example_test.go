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

func ExampleQueue() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q := pubsub.NewQueue(mempubsub.NewQueue(nil), nil)
	if err := q.Publish(ctx, "orders", pubsub.Message{Key: "customer 7", Data: []byte("three books")}); err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	c, err := q.Consume(ctx, "orders", "billing", func(_ context.Context, d *pubsub.Delivery) error {
		fmt.Printf("%s: %s, attempt %d\n", d.Key, d.Data, d.Attempt)
		close(done)
		return nil // or an error, to have it again
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-done // a server waits for its signal to end
	fmt.Println(c.Drain(ctx))
	// Output:
	// customer 7: three books, attempt 1
	// <nil>
}

// What cannot be handled becomes a dead letter, which can be looked at and put back.
func ExampleQueue_Redrive() {
	ctx := context.Background()
	q := pubsub.NewQueue(mempubsub.NewQueue(nil), nil)
	tried := make(chan struct{})
	c, err := q.Consume(ctx, "orders", "billing", func(context.Context, *pubsub.Delivery) error {
		close(tried)
		return pubsub.Dead(errors.New("no such customer")) // another delivery would not help
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := q.Publish(ctx, "orders", pubsub.Message{ID: "4711"}); err != nil {
		log.Fatal(err)
	}
	<-tried
	if err := c.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	for d, err := range q.DeadLetters(ctx, "orders", "billing") {
		if err != nil {
			log.Fatal(err)
		}
		ok, err := q.Redrive(ctx, d)
		fmt.Println(d.ID, d.Error, ok, err)
	}
	// Output: 4711 no such customer true <nil>
}
