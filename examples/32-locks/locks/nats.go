package locks

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/natslock"
)

// bucket holds the leases, obviousBucket the lock that everybody writes first.
const (
	bucket        = "example-locks"
	obviousBucket = "example"
)

func openNATS(ctx context.Context, addr string) (engine, error) {
	addr = cmp.Or(addr, "localhost:4222")
	nc, err := nats.Connect(addr, nats.MaxReconnects(-1))
	if err != nil {
		return engine{}, fmt.Errorf("nats at %s: %w", addr, err)
	}
	js, kv, err := buckets(ctx, nc)
	if err != nil {
		nc.Close()
		return engine{}, fmt.Errorf("nats at %s: %w", addr, err)
	}
	return engine{
		commands: "Create and Delete",
		store:    onNATS{kv},
		connect:  func() lock.Backend { return natslock.New(js, bucket) },
		ttl:      wholeTTL,
		close:    nc.Close,
	}, nil
}

// buckets makes both buckets where they are missing. In production whoever sets up the servers does that, with three
// replicas.
func buckets(ctx context.Context, nc *nats.Conn) (jetstream.JetStream, jetstream.KeyValue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, natslock.Config(bucket, 1)); err != nil {
		return nil, nil, err
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: obviousBucket, LimitMarkerTTL: wholeTTL})
	return js, kv, err
}

type onNATS struct{ kv jetstream.KeyValue }

func (n onNATS) SetNX(ctx context.Context, key, owner string) (bool, error) {
	_, err := n.kv.Create(ctx, key, []byte(owner), jetstream.KeyTTL(wholeTTL))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	return err == nil, err
}

func (n onNATS) Del(ctx context.Context, key string) error { return n.kv.Delete(ctx, key) }
