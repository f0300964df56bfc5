package messages

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/concordkit/concord/pubsub"
)

// kept loses nothing: the subscription is active before the first order, and the publisher exits after Close.
func kept(ctx context.Context, out io.Writer, e engine, topic string) error {
	a, err := newAudience(ctx, e, topic)
	if err != nil {
		return err
	}
	defer a.leave()
	publisher := pubsub.NewBus(&client{BusBackend: e.bus}, nil)
	if err := publish(ctx, publisher, topic, 1, orders); err != nil {
		return err
	}
	if err := publisher.Close(ctx); err != nil { // nil: the engine has them all. A process that goes on uses Flush
		return err
	}
	got, err := a.listen(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  the publisher sends %d orders, closes its Bus and exits: its subscriber gets %d\n", orders, len(got))
	fmt.Fprintf(out, "  in order: %t, gaps: %d\n", slices.IsSorted(got), a.gaps)
	return nil
}
