package natslock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

func ExampleNew() {
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
	locks := lock.New(natslock.New(js, "locks"), nil)
	defer locks.Close(ctx)
	lease, err := locks.Acquire(ctx, "invoice-42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println("alone until", lease.Expires())
}

func ExampleConfig() {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	// Once, by whoever sets the servers up; again changes nothing.
	if _, err := js.CreateOrUpdateKeyValue(context.Background(), natslock.Config("locks", 3)); err != nil {
		log.Fatal(err)
	}
}
