// Package engines opens the places where the examples keep their leases: memory, Redis, etcd and NATS.
package engines

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/lock"
)

// Engine is a place for leases.
type Engine struct {
	Connect func() lock.Backend // one for each process
	TTL     time.Duration       // of a lease whose end the example waits for
	Client  any                 // *redis.Client, *clientv3.Client or jetstream.JetStream; nil in memory
	Close   func()
}

const (
	// shortTTL does not bore anyone who waits for its end.
	shortTTL = 300 * time.Millisecond
	// wholeTTL is the shortest where servers count in seconds.
	wholeTTL = time.Second
)

// Open opens "mem", the default, "redis", "etcd" or "nats". The default of addr is the usual port on localhost.
func Open(ctx context.Context, name, addr string) (Engine, error) {
	switch name {
	case "", "mem":
		return openMemory(), nil
	case "redis":
		return openRedis(addr), nil
	case "etcd":
		return openEtcd(ctx, addr)
	case "nats":
		return openNATS(ctx, addr)
	}
	return Engine{}, fmt.Errorf("engine %q: want mem, redis, etcd or nats", name)
}
