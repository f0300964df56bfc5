package engines

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

const bucket = "example-locks"

func openNATS(ctx context.Context, addr string) (Engine, error) {
	addr = cmp.Or(addr, "localhost:4222")
	nc, err := nats.Connect(addr, nats.MaxReconnects(-1))
	if err != nil {
		return Engine{}, fmt.Errorf("nats at %s: %w", addr, err)
	}
	js, err := makeBucket(ctx, nc)
	if err != nil {
		nc.Close()
		return Engine{}, fmt.Errorf("nats at %s: %w", addr, err)
	}
	return Engine{
		Connect: func() lock.Backend { return natslock.New(js, bucket) },
		TTL:     wholeTTL,
		Client:  js,
		Close:   nc.Close,
	}, nil
}

// makeBucket makes the bucket where it is missing. In production whoever sets up the servers does that, with three
// replicas.
func makeBucket(ctx context.Context, nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateOrUpdateKeyValue(ctx, natslock.Config(bucket, 1))
	return js, err
}
