package pubsubbench

import (
	"context"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
)

func (s *servers) jetStream() (jetstream.JetStream, func(), error) {
	nc, err := s.nats.Client()
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return js, nc.Close, err
}

func (s *servers) natsConsume(ctx context.Context) ([]ratio.Row, error) {
	js, close, err := s.jetStream()
	if err != nil {
		return nil, err
	}
	defer close()
	return consumed(ctx, "JetStream", func() pubsub.QueueBackend { return natspubsub.NewQueue(js, nil) }, rawJetStream(js), 0.85)
}

// rawJetStream consumes by nats.go. Its Ack does not wait for an answer.
func rawJetStream(js jetstream.JetStream) drinker {
	return drinker{"nats.go Consume and Ack", func(ctx context.Context, topic string) (func() error, error) {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: topic, Subjects: []string{topic}}); err != nil {
			return nil, err
		}
		for range backlog {
			if _, err := js.PublishAsync(topic, payload); err != nil {
				return nil, err
			}
		}
		<-js.PublishAsyncComplete()
		return func() error {
			came, failed := newArrivals(), make(chan error, 1)
			came.expect(backlog)
			c, err := js.CreateConsumer(ctx, topic, jetstream.ConsumerConfig{Durable: group, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
			if err != nil {
				return err
			}
			consuming, err := c.Consume(func(m jetstream.Msg) {
				if err := m.Ack(); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
				came.one()
			}, jetstream.PullMaxMessages(1000))
			if err != nil {
				return err
			}
			defer consuming.Stop()
			if err := came.wait(); err != nil {
				return err
			}
			select {
			case err := <-failed:
				return err
			default:
				return nil
			}
		}, nil
	}}
}

func (s *servers) natsThrough(ctx context.Context) ([]ratio.Row, error) {
	row, err := contest(ctx, "JetStream Queue, publish to handled", s.concordJetStream, s.watermillJetStream, atLeast(3))
	return []ratio.Row{row}, err
}

func (s *servers) concordJetStream(ctx context.Context) (*flow, error) {
	js, close, err := s.jetStream()
	if err != nil {
		return nil, err
	}
	return through(ctx, natspubsub.NewQueue(js, nil), close)
}

var millJetStream = wmnats.JetStreamConfig{AutoProvision: true, DurablePrefix: group, AckAsync: true}

func (s *servers) watermillJetStream(ctx context.Context) (*flow, error) {
	return s.watermillOnNATS(ctx, "watermill-nats JetStream", millJetStream)
}

func (s *servers) natsMill(ctx context.Context) ([]ratio.Row, error) {
	js, close, err := s.jetStream()
	if err != nil {
		return nil, err
	}
	defer close()
	p, sub, err := natsMills(js.Conn(), millJetStream)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	return millConsumed(ctx, "JetStream", func() pubsub.QueueBackend { return natspubsub.NewQueue(js, nil) },
		millDrinker("watermill-nats JetStream", sub, func(_ context.Context, topic string, ms []*message.Message) error {
			var g errgroup.Group
			for _, m := range ms {
				g.Go(func() error { return p.Publish(topic, m) })
			}
			return g.Wait()
		}))
}
