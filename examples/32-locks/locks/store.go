package locks

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/concordkit/concord/examples/internal/engines"
)

// store is what the obvious lock needs: SET key owner NX PX ttl and DEL key, or what comes nearest.
type store interface {
	SetNX(ctx context.Context, key, owner string) (bool, error)
	Del(ctx context.Context, key string) error
}

// storeOn returns the store that e has, and what the obvious lock is made of there.
func storeOn(ctx context.Context, e engines.Engine) (s store, commands string, err error) {
	switch c := e.Client.(type) {
	case *redis.Client:
		return onRedis{c, e.TTL}, "SET NX and DEL", nil
	case *clientv3.Client:
		return onEtcd{c, e.TTL}, "a create in a transaction, and a delete", nil
	case jetstream.JetStream:
		s, err := newOnNATS(ctx, c, e.TTL)
		return s, "Create and Delete", err
	default:
		return newMemory(e.TTL), "SET NX and DEL", nil
	}
}
