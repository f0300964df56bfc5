package pubsubbench

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

func (s *servers) redisConsume(ctx context.Context) ([]ratio.Row, error) {
	rdb := s.redis.Client()
	defer rdb.Close()
	return consumed(ctx, "Redis", func() pubsub.QueueBackend { return redispubsub.NewQueue(rdb, nil) }, rawRedis(rdb), 0.7)
}

// rawRedis consumes by two commands, one after the other.
func rawRedis(rdb *redis.Client) drinker {
	return drinker{"XREADGROUP 100 and XACK", func(ctx context.Context, topic string) (func() error, error) {
		for range backlog / batch {
			_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for range batch {
					p.XAdd(ctx, &redis.XAddArgs{Stream: topic, Values: []any{"d", payload}})
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return func() error {
			if err := rdb.XGroupCreate(ctx, topic, group, "0").Err(); err != nil {
				return err
			}
			for n := 0; n < backlog; {
				got, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "a", Streams: []string{topic, ">"}, Count: batch}).Result()
				if err != nil {
					return err
				}
				ids := make([]string, len(got[0].Messages))
				for i, m := range got[0].Messages {
					ids[i] = m.ID
				}
				if err := rdb.XAck(ctx, topic, group, ids...).Err(); err != nil {
					return err
				}
				n += len(ids)
			}
			return nil
		}, nil
	}}
}

func (s *servers) redisThrough(ctx context.Context) ([]ratio.Row, error) {
	row, err := contest(ctx, "Redis Queue, publish to handled", s.concordRedis, s.watermillRedis, atLeast(3))
	return []ratio.Row{row}, err
}

func (s *servers) concordRedis(ctx context.Context) (*flow, error) {
	rdb := s.redis.Client()
	return through(ctx, redispubsub.NewQueue(rdb, nil), func() { rdb.Close() })
}

func (s *servers) redisMill(ctx context.Context) ([]ratio.Row, error) {
	rdb := s.redis.Client()
	defer rdb.Close()
	sub, err := redisMillSubscriber(rdb)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	return millConsumed(ctx, "Redis", func() pubsub.QueueBackend { return redispubsub.NewQueue(rdb, nil) },
		millDrinker("watermill-redisstream", sub, func(ctx context.Context, topic string, ms []*message.Message) error {
			_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, m := range ms {
					values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(topic, m)
					if err != nil {
						return err
					}
					p.XAdd(ctx, &redis.XAddArgs{Stream: topic, Values: values})
				}
				return nil
			})
			return err
		}))
}

func redisMillSubscriber(rdb *redis.Client) (*redisstream.Subscriber, error) {
	return redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: rdb, ConsumerGroup: group, Consumer: "a"}, watermill.NopLogger{})
}

func (s *servers) watermillRedis(ctx context.Context) (*flow, error) {
	rdb := s.redis.Client()
	p, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: rdb}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	sub, err := redisMillSubscriber(rdb)
	if err != nil {
		return nil, err
	}
	return watermillFlow(ctx, "watermill-redisstream", p, sub, func() { rdb.Close() })
}
