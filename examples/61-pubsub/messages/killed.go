package messages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/concordkit/concord/pubsub"
)

// killed has two workers, one after the other. How they get on with each order is told when all orders are over.
func killed(ctx context.Context, out io.Writer, e engine, topic string) error {
	if err := store(ctx, e, topic); err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d orders are stored, and no worker is there yet\n", orders)
	events := make(chan event, 100) // more than there will be
	p := newProcess(e.queue)
	a, b := newWorker("A", p, events), newWorker("B", e.queue, events)
	defer a.queue.Close(ctx)
	a.die = func(ctx context.Context) {
		select {
		case <-p.settled: // order 1: else that would come again too
		case <-ctx.Done():
		}
		p.kill()
	}
	if _, err := a.start(ctx, topic); err != nil {
		return err
	}
	select {
	case <-p.dead.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, err := b.start(ctx, topic); err != nil {
		return err
	}
	told, err := follow(ctx, events, orders)
	if err != nil {
		return err
	}
	for n := range orders {
		id := order(n + 1).ID
		fmt.Fprintf(out, "  %s: %s\n", id, strings.Join(told[id], ", "))
	}
	return b.queue.Close(ctx)
}

// store publishes all orders. Publish returns nil when the engine has them, so whoever publishes may exit.
func store(ctx context.Context, e engine, topic string) error {
	ms := make([]pubsub.Message, orders)
	for i := range ms {
		ms[i] = order(i + 1)
	}
	return pubsub.NewQueue(e.queue, nil).Publish(ctx, topic, ms...)
}

// follow returns what was told of each order, once n are over.
func follow(ctx context.Context, events <-chan event, n int) (map[string][]string, error) {
	told, over := map[string][]string{}, map[string]bool{}
	for len(over) < n {
		select {
		case e := <-events:
			told[e.order] = append(told[e.order], e.what)
			if e.over {
				over[e.order] = true
			}
		case <-ctx.Done():
			return told, errors.Join(context.Cause(ctx), fmt.Errorf("%d of %d orders are over", len(over), n))
		}
	}
	return told, nil
}
