package pubsubbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/pubsub"
)

const (
	// backlog is how many messages a round consumes, from a topic of its own.
	backlog = 30_000
	// rounds is how often each side does that.
	rounds = 7
	// batch is how many messages are published, and fetched, at a time.
	batch = 100
	group = "workers"
)

// drinker is a side that consumes a backlog: fill makes it, and the func that it returns consumes it.
type drinker struct {
	name string
	fill func(ctx context.Context, topic string) (func() error, error)
}

// consume compares sides that take turns with the last one. Topics are named after it. It returns, for each of the others, the times per message and the median
// of the quotients.
func consume(ctx context.Context, name string, sides ...drinker) (per []time.Duration, quotients []float64, err error) {
	took := make([][]float64, len(sides))
	for round := range rounds + 1 {
		for i := range sides {
			if round%2 == 1 {
				i = len(sides) - 1 - i
			}
			drink, err := sides[i].fill(ctx, fmt.Sprintf("%s_%d_%d", name, i, round))
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			begun := time.Now()
			if err := drink(); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			if round > 0 { // the first one warms up
				took[i] = append(took[i], float64(time.Since(begun))/backlog)
			}
		}
	}
	for i := range sides {
		q := make([]float64, rounds)
		for r := range q {
			q[r] = took[len(sides)-1][r] / took[i][r]
		}
		per, quotients = append(per, time.Duration(ratio.Median(took[i]))), append(quotients, ratio.Median(q))
	}
	return per, quotients, nil
}

// consumed makes the rows of a front and its backend beside a client.
func consumed(ctx context.Context, engine string, b func() pubsub.QueueBackend, raw drinker, limit float64) ([]ratio.Row, error) {
	per, q, err := consume(ctx, "raw", front(b), alone(b), raw)
	if err != nil {
		return nil, err
	}
	return []ratio.Row{
		rates(engine+" Queue, a backlog is handled and settled", raw.name, per[0], per[2], q[0], atLeast(limit)),
		rates(engine+" Queue, the backend alone, Fetch(100) and Ack", raw.name, per[1], per[2], q[1], info),
	}, nil
}

// millConsumed makes the row of a front beside watermill.
func millConsumed(ctx context.Context, engine string, b func() pubsub.QueueBackend, mill drinker) ([]ratio.Row, error) {
	per, q, err := consume(ctx, "mill", front(b), mill)
	if err != nil {
		return nil, err
	}
	return []ratio.Row{rates(engine+" Queue, a backlog is handled and settled", mill.name, per[0], per[1], q[0], atLeast(3))}, nil
}

// millDrinker consumes by watermill what fill has published.
func millDrinker(name string, s message.Subscriber, fill func(ctx context.Context, topic string, ms []*message.Message) error) drinker {
	return drinker{name, func(ctx context.Context, topic string) (func() error, error) {
		for range backlog / batch {
			ms := make([]*message.Message, batch)
			for i := range ms {
				ms[i] = message.NewMessage(watermill.NewUUID(), payload)
			}
			if err := fill(ctx, topic, ms); err != nil {
				return nil, err
			}
		}
		return func() error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			ms, err := s.Subscribe(ctx, topic)
			if err != nil {
				return err
			}
			for range backlog {
				select {
				case m := <-ms:
					m.Ack()
				case <-time.After(patience):
					return errors.New("a message did not come")
				}
			}
			return nil
		}, nil
	}}
}

// front consumes by [pubsub.Queue.Consume], until the engine says that all is settled.
func front(b func() pubsub.QueueBackend) drinker {
	return drinker{"concord", func(ctx context.Context, topic string) (func() error, error) {
		q := pubsub.NewQueue(b(), nil)
		return func() error {
			came := newArrivals()
			came.expect(backlog)
			c, err := q.Consume(ctx, topic, group, func(context.Context, *pubsub.Delivery) error { came.one(); return nil }, consumeOptions)
			if err != nil {
				return err
			}
			defer func() { go c.Drain(ctx) }()
			if err := came.wait(); err != nil {
				return err
			}
			return settled(ctx, q, topic)
		}, publish(ctx, q, topic)
	}}
}

var consumeOptions = &pubsub.ConsumeOptions{Concurrency: 100, Prefetch: 1000, Unordered: true}

func settled(ctx context.Context, q *pubsub.Queue, topic string) error {
	for {
		s, err := q.Stats(ctx, topic, group)
		if err != nil || s.Pending+s.Waiting == 0 {
			return err
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// alone consumes by the backend's methods.
func alone(b func() pubsub.QueueBackend) drinker {
	return drinker{"the backend", func(ctx context.Context, topic string) (func() error, error) {
		b := b()
		return func() error {
			c, err := b.Join(ctx, topic, group, pubsub.JoinOptions{Prefetch: batch, Lease: 30 * time.Second})
			if err != nil {
				return err
			}
			defer func() { go c.Close(ctx) }()
			for n := 0; n < backlog; {
				rs, err := c.Fetch(ctx, batch)
				if err != nil {
					return err
				}
				receipts := make([]pubsub.Receipt, len(rs))
				for i := range rs {
					receipts[i] = rs[i].Receipt
				}
				if err := c.Ack(ctx, receipts); err != nil {
					return err
				}
				n += len(rs)
			}
			return nil
		}, publish(ctx, pubsub.NewQueue(b, nil), topic)
	}}
}

// publish stores the backlog.
func publish(ctx context.Context, q *pubsub.Queue, topic string) error {
	for range backlog / batch {
		ms := make([]pubsub.Message, batch)
		for i := range ms {
			ms[i].Data = payload
		}
		if err := q.Publish(ctx, topic, ms...); err != nil {
			return err
		}
	}
	return nil
}

// through is a flow by [pubsub.Queue], one message published at a time.
func through(ctx context.Context, b pubsub.QueueBackend, close func()) (*flow, error) {
	q, came := pubsub.NewQueue(b, nil), newArrivals()
	c, err := q.Consume(ctx, "through", group, func(context.Context, *pubsub.Delivery) error { came.one(); return nil }, consumeOptions)
	if err != nil {
		return nil, err
	}
	return &flow{"concord", func(n int) error {
		for range n {
			if err := q.Publish(ctx, "through", pubsub.Message{Data: payload}); err != nil {
				return err
			}
		}
		return nil
	}, came, func() { c.Drain(ctx); close() }}, nil
}
