package messages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concordkit/concord/pubsub"
)

const (
	group = "billing"
	// lease is the shortest: how long the others wait for what a worker had that was killed.
	lease = time.Second
	// tries is how often an order is tried.
	tries = 3
	// poison is the order that a worker cannot bill, fatal the one at which A is killed.
	poison, fatal = "order 4", "order 2"
)

// event is what a worker tells of an order.
type event struct {
	order, what string
	over        bool
}

// worker is a process that bills orders one at a time.
type worker struct {
	name   string
	queue  *pubsub.Queue
	fixed  bool // it can bill the poison
	events chan<- event
	die    func(context.Context) // at the fatal order, or nil
}

func newWorker(name string, b pubsub.QueueBackend, events chan<- event) *worker {
	dead := func(d pubsub.DeadLetter) {
		events <- event{d.ID, "then " + name + " gives it up", true}
	}
	return &worker{name: name, queue: pubsub.NewQueue(b, &pubsub.QueueOptions{Trace: &pubsub.Trace{Dead: dead}}), events: events}
}

func (w *worker) start(ctx context.Context, topic string) (*pubsub.Consumer, error) {
	return w.queue.Consume(ctx, topic, group, w.bill, &pubsub.ConsumeOptions{
		Concurrency: 1,
		Deliveries:  tries,
		Backoff:     []time.Duration{10 * time.Millisecond},
		Lease:       lease,
	})
}

// bill is a pubsub.Handler. It may see an order more than once, so what it writes should be told apart by the order's ID:
// pubsub.Once does that.
func (w *worker) bill(ctx context.Context, d *pubsub.Delivery) error {
	switch {
	case w.die != nil && d.ID == fatal:
		w.die(ctx)
		w.events <- event{d.ID, w.name + " is killed half-way", false}
		<-ctx.Done() // the code after this place never runs in a process that is dead
		return context.Cause(ctx)
	case !w.fixed && d.ID == poison:
		w.events <- event{d.ID, "fails", false}
		return errors.New("no price for a book")
	}
	w.events <- event{d.ID, fmt.Sprintf("done by %s, attempt %d", w.name, d.Attempt), true}
	return nil
}
