package messages

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/examples/internal/engines"
	"github.com/concordkit/concord/pubsub"
	"github.com/concordkit/concord/pubsub/mempubsub"
	"github.com/concordkit/concord/pubsub/natspubsub"
	"github.com/concordkit/concord/pubsub/redispubsub"
)

// engine carries messages.
type engine struct {
	bus    pubsub.BusBackend
	queue  pubsub.QueueBackend
	forget func(ctx context.Context, topic string) error // removes what the queue keeps
	close  func()
}

func open(ctx context.Context, o Options) (engine, error) {
	switch o.Engine {
	case "", "mem", "redis", "nats":
	default:
		return engine{}, fmt.Errorf("engine %q: want mem, redis or nats", o.Engine)
	}
	e, err := engines.Open(ctx, o.Engine, o.Addr)
	if err != nil {
		return engine{}, err
	}
	switch c := e.Client.(type) {
	case *redis.Client:
		return onRedis(c, e.Close), nil
	case jetstream.JetStream:
		return onNATS(c, e.Close), nil
	}
	return engine{
		bus:    mempubsub.NewBus(),
		queue:  mempubsub.NewQueue(nil),
		forget: func(context.Context, string) error { return nil },
		close:  e.Close,
	}, nil
}

func onRedis(rdb *redis.Client, stop func()) engine {
	const prefix = "example:queue:"
	return engine{
		bus:   redispubsub.NewBus(rdb, &redispubsub.BusOptions{Prefix: "example."}),
		queue: redispubsub.NewQueue(rdb, &redispubsub.QueueOptions{Prefix: prefix}),
		forget: func(ctx context.Context, topic string) error {
			keys := rdb.Scan(ctx, 0, prefix+"{"+topic+"}*", 1000).Iterator()
			for keys.Next(ctx) {
				if err := rdb.Del(ctx, keys.Val()).Err(); err != nil {
					return err
				}
			}
			return keys.Err()
		},
		close: stop,
	}
}

// onNATS has a Bus and a Queue on one connection. In production set the Queue's Replicas to 3.
func onNATS(js jetstream.JetStream, stop func()) engine {
	options := &natspubsub.QueueOptions{Prefix: "example"}
	return engine{
		bus:    natspubsub.NewBus(js.Conn(), &natspubsub.BusOptions{Prefix: "example-bus."}),
		queue:  natspubsub.NewQueue(js, options),
		forget: func(ctx context.Context, topic string) error { return forgetStreams(ctx, js, topic, options) },
		close:  stop,
	}
}

func forgetStreams(ctx context.Context, js jetstream.JetStream, topic string, o *natspubsub.QueueOptions) error {
	for _, config := range []func(string, *natspubsub.QueueOptions) (jetstream.StreamConfig, error){
		natspubsub.StreamConfig, natspubsub.DeadStreamConfig,
	} {
		stream, err := config(topic, o)
		if err != nil {
			return err
		}
		if err := js.DeleteStream(ctx, stream.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
	}
	return nil
}
