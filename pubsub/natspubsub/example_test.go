package natspubsub_test

import (
	"context"
	"log"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
)

func ExampleNewBus() {
	ctx := context.Background()
	nc, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1), nats.ReconnectOnFlusherError())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	bus := pubsub.NewBus(natspubsub.NewBus(nc, nil), nil)
	defer bus.Close(ctx)
	if err := bus.Publish(ctx, "orders.created", pubsub.Message{ID: "42", Data: []byte("…")}); err != nil {
		log.Fatal(err)
	}
	if err := bus.Flush(ctx); err != nil {
		log.Fatal(err)
	}
}
