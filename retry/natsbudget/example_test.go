package natsbudget_test

import (
	"context"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/retry"
	"github.com/concordkit/concord/retry/natsbudget"
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
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "budgets", Replicas: 3})
	if err != nil {
		log.Fatal(err)
	}
	budget, err := retry.NewSharedBudget(natsbudget.New(kv, nil), "billing", nil)
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
