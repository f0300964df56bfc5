package otelpubsub_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel"

	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/otelpubsub"
)

func ExampleTrace() {
	ctx := context.Background()
	q := pubsub.NewQueue(mempubsub.NewQueue(nil), &pubsub.QueueOptions{Trace: otelpubsub.Trace(&otelpubsub.Options{
		Tracer: otel.GetTracerProvider(), Meter: otel.GetMeterProvider(),
	})})
	if err := q.Publish(ctx, "orders", pubsub.Message{ID: "4711"}); err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	c, err := q.Consume(ctx, "orders", "billing", func(_ context.Context, d *pubsub.Delivery) error {
		fmt.Println(d.ID)
		close(done)
		return nil
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-done
	fmt.Println(c.Drain(ctx))
	// Output:
	// 4711
	// <nil>
}
