package natspubsub_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
)

func ExampleNewQueue() {
	ctx := context.Background()
	nc, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	queue := pubsub.NewQueue(natspubsub.NewQueue(js, &natspubsub.QueueOptions{Replicas: 3}), nil)
	defer queue.Close(ctx)
	_, err = queue.Consume(ctx, "orders.new", "billing", func(ctx context.Context, d *pubsub.Delivery) error {
		fmt.Println("bill", d.Key)
		return nil
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := queue.Publish(ctx, "orders.new", pubsub.Message{Key: "order-42"}); err != nil {
		log.Fatal(err)
	}
}

func ExampleStreamConfig() {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	// Once, by whoever sets the servers up.
	c, err := natspubsub.StreamConfig("orders.new", &natspubsub.QueueOptions{Replicas: 3})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := js.CreateStream(context.Background(), c); err != nil {
		log.Fatal(err)
	}
}

func ExampleDeadStreamConfig() {
	c, err := natspubsub.DeadStreamConfig("orders.new", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Name)
	// Output: queue_orders_new=dead
}
