package pubsubbench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/nats-io/nats.go"
	gocloud "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/natspubsub"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	ours "github.com/concordkit/concord/pubsub/natspubsub"
)

const (
	// buffer is what a subscriber in this process may be behind.
	buffer = 1024
	// deep is more than a slice publishes, so that no side of a row on NATS waits or drops.
	deep = 1 << 20
	// senders is how many goroutines send through gocloud.dev, whose Send returns when its batch was sent.
	senders = 64
	million = 1_000_000
)

func memoryBus(ctx context.Context) ([]ratio.Row, error) {
	const goal = "memory Bus, publish to received"
	bare, err := contest(ctx, goal, concordMemory, goChannel, atLeast(0.1))
	if err != nil {
		return nil, err
	}
	mill, err := contest(ctx, goal, concordMemory, watermillGoChannel, atLeast(10))
	return []ratio.Row{bare, mill}, err
}

func (s *servers) natsBus(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range []struct {
		peer  opener
		limit float64
	}{{s.rawNATS, 0.8}, {s.watermillNATS, 4}, {s.gocloudNATS, 10}} {
		row, err := contest(ctx, "NATS Bus, publish to received", s.concordNATS, c.peer, atLeast(c.limit))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func concordMemory(ctx context.Context) (*flow, error) {
	return concordBus(ctx, mempubsub.NewBus(), buffer, func() {})
}

func (s *servers) concordNATS(ctx context.Context) (*flow, error) {
	nc, err := s.nats.Client()
	if err != nil {
		return nil, err
	}
	return concordBus(ctx, ours.NewBus(nc, nil), deep, nc.Close)
}

func concordBus(ctx context.Context, b pubsub.BusBackend, buffer int, close func()) (*flow, error) {
	bus := pubsub.NewBus(b, nil)
	sub, err := bus.Subscribe(ctx, "bench", &pubsub.SubscribeOptions{Buffer: buffer, Overflow: pubsub.Block})
	if err != nil {
		return nil, err
	}
	came := newArrivals()
	go func() {
		for _, err := range sub.All(ctx) {
			if err == nil {
				came.one()
			}
		}
	}()
	return &flow{"concord", func(n int) error {
		for range n {
			if err := bus.Publish(ctx, "bench", pubsub.Message{Data: payload}); err != nil {
				return err
			}
		}
		return nil
	}, came, func() { bus.Close(ctx); close() }}, nil
}

func goChannel(context.Context) (*flow, error) {
	ch, came := make(chan []byte, buffer), newArrivals()
	go func() {
		for range ch {
			came.one()
		}
	}()
	return &flow{"Go channel", func(n int) error {
		for range n {
			ch <- payload
		}
		return nil
	}, came, func() { close(ch) }}, nil
}

func watermillGoChannel(ctx context.Context) (*flow, error) {
	g := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: buffer}, watermill.NopLogger{})
	return watermillFlow(ctx, "watermill GoChannel", g, g, func() { g.Close() })
}

// watermillFlow subscribes and acknowledges each message.
func watermillFlow(ctx context.Context, name string, p message.Publisher, s message.Subscriber, close func()) (*flow, error) {
	ms, err := s.Subscribe(ctx, "watermill")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	came := newArrivals()
	go func() {
		for m := range ms {
			m.Ack()
			came.one()
		}
	}()
	return &flow{name, func(n int) error {
		for range n {
			if err := p.Publish("watermill", message.NewMessage(watermill.NewUUID(), payload)); err != nil {
				return err
			}
		}
		return nil
	}, came, close}, nil
}

func (s *servers) rawNATS(context.Context) (*flow, error) {
	nc, err := s.nats.Client()
	if err != nil {
		return nil, err
	}
	came := newArrivals()
	sub, err := nc.Subscribe("raw", func(*nats.Msg) { came.one() })
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	return &flow{"nats.go", func(n int) error {
		for range n {
			if err := nc.Publish("raw", payload); err != nil {
				return err
			}
		}
		return nil
	}, came, nc.Close}, err
}

func (s *servers) watermillNATS(ctx context.Context) (*flow, error) {
	return s.watermillOnNATS(ctx, "watermill-nats core", wmnats.JetStreamConfig{Disabled: true})
}

func (s *servers) watermillOnNATS(ctx context.Context, name string, js wmnats.JetStreamConfig) (*flow, error) {
	nc, err := s.nats.Client()
	if err != nil {
		return nil, err
	}
	p, sub, err := natsMills(nc, js)
	if err != nil {
		return nil, err
	}
	return watermillFlow(ctx, name, p, sub, nc.Close)
}

func natsMills(nc *nats.Conn, js wmnats.JetStreamConfig) (message.Publisher, message.Subscriber, error) {
	codec := new(wmnats.NATSMarshaler)
	p, err := wmnats.NewPublisherWithNatsConn(nc, wmnats.PublisherPublishConfig{
		Marshaler: codec, SubjectCalculator: wmnats.DefaultSubjectCalculator, JetStream: js,
	}, watermill.NopLogger{})
	if err != nil {
		return nil, nil, err
	}
	sub, err := wmnats.NewSubscriberWithNatsConn(nc, wmnats.SubscriberSubscriptionConfig{
		Unmarshaler: codec, SubjectCalculator: wmnats.DefaultSubjectCalculator, JetStream: js,
	}, watermill.NopLogger{})
	return p, sub, err
}

func (s *servers) gocloudNATS(ctx context.Context) (*flow, error) {
	nc, err := s.nats.Client()
	if err != nil {
		return nil, err
	}
	topic, err := natspubsub.OpenTopicV2(nc, "gocloud", nil)
	if err != nil {
		return nil, err
	}
	sub, err := natspubsub.OpenSubscriptionV2(nc, "gocloud", nil)
	if err != nil {
		return nil, err
	}
	came := newArrivals()
	receiving, stop := context.WithCancel(ctx)
	go func() {
		for {
			m, err := sub.Receive(receiving)
			if err != nil {
				return
			}
			m.Ack()
			came.one()
		}
	}()
	return &flow{fmt.Sprintf("gocloud natspubsub, %d senders", senders), func(n int) error {
		return together(n, func() error { return topic.Send(ctx, &gocloud.Message{Body: payload}) })
	}, came, func() { stop(); nc.Close() }}, nil
}

// together calls send n times, from as many goroutines as there are senders.
func together(n int, send func() error) error {
	errs := make(chan error, senders)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for range (n + i) / senders {
				if err := send(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// inversions counts the messages that do not come after the one that was published before.
func inversions(ctx context.Context) ([]ratio.Row, error) {
	bus := pubsub.NewBus(mempubsub.NewBus(), nil)
	sub, err := bus.Subscribe(ctx, "bench", &pubsub.SubscribeOptions{Buffer: buffer, Overflow: pubsub.Block})
	if err != nil {
		return nil, err
	}
	defer bus.Close(ctx)
	failed := make(chan error, 1)
	go func() {
		for i := range million {
			data := binary.BigEndian.AppendUint64(make([]byte, 0, len(payload)), uint64(i))[:len(payload)]
			if err := bus.Publish(ctx, "bench", pubsub.Message{Data: data}); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	wrong, next := 0, uint64(0)
	for m, err := range sub.All(ctx) {
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint64(m.Data)
		if n != next {
			wrong++
		}
		if next = n + 1; next == million {
			break
		}
	}
	return []ratio.Row{{
		Goal: "memory Bus: messages out of order, or missing, of 1,000,000", Ours: fmt.Sprint(wrong), Value: float64(wrong), Target: ratio.AtMost(0, ""),
	}}, <-failed
}
