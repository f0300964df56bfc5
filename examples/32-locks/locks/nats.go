package locks

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type onNATS struct {
	kv  jetstream.KeyValue
	ttl time.Duration
}

// newOnNATS makes the bucket of the obvious lock where it is missing; the leases have one of their own.
func newOnNATS(ctx context.Context, js jetstream.JetStream, ttl time.Duration) (onNATS, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "example", LimitMarkerTTL: ttl})
	return onNATS{kv, ttl}, err
}

func (n onNATS) SetNX(ctx context.Context, key, owner string) (bool, error) {
	_, err := n.kv.Create(ctx, key, []byte(owner), jetstream.KeyTTL(n.ttl))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	return err == nil, err
}

func (n onNATS) Del(ctx context.Context, key string) error { return n.kv.Delete(ctx, key) }
