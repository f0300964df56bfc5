package messages

import (
	"context"
	"fmt"
	"io"

	"github.com/concordkit/concord/pubsub"
)

// obvious is how everybody uses a Bus first. Do not copy it.
func obvious(ctx context.Context, out io.Writer, e engine, topic string) error {
	if err := tooEarly(ctx, out, e, topic); err != nil {
		return err
	}
	return tooLate(ctx, out, e, topic)
}

// tooEarly publishes, and is gone.
func tooEarly(ctx context.Context, out io.Writer, e engine, topic string) error {
	a, err := newAudience(ctx, e, topic)
	if err != nil {
		return err
	}
	defer a.leave()
	publisher := pubsub.NewBus(&client{BusBackend: e.bus}, nil)
	if err := publish(ctx, publisher, topic, 1, orders); err != nil {
		return err
	}
	// Here main returns. Publish said nil each time: the orders were on their way.
	got, err := a.listen(ctx)
	fmt.Fprintf(out, "  a publisher sends %d orders and exits: its subscriber gets %d of them\n", orders, len(got))
	return err
}

// tooLate subscribes when the publisher is at it. Where both start at once, that is chance.
func tooLate(ctx context.Context, out io.Writer, e engine, topic string) error {
	const before = 3
	publisher := pubsub.NewBus(&client{BusBackend: e.bus}, nil)
	if err := publish(ctx, publisher, topic, 1, before); err != nil {
		return err
	}
	if err := publisher.Flush(ctx); err != nil {
		return err
	}
	a, err := newAudience(ctx, e, topic)
	if err != nil {
		return err
	}
	defer a.leave()
	if err := publish(ctx, publisher, topic, before+1, orders); err != nil {
		return err
	}
	if err := publisher.Close(ctx); err != nil {
		return err
	}
	got, err := a.listen(ctx)
	fmt.Fprintf(out, "  a subscriber comes after %d of %d orders: it gets %d, and nobody tells it of the others\n", before, orders, len(got))
	return err
}

func publish(ctx context.Context, bus *pubsub.Bus, topic string, first, last int) error {
	for n := first; n <= last; n++ {
		if err := bus.Publish(ctx, topic, order(n)); err != nil {
			return err
		}
	}
	return nil
}
