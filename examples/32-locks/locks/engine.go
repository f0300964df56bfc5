package locks

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/lock"
)

// engine is a place for locks, for the obvious ones and for leases.
type engine struct {
	commands string // what the obvious lock is made of
	store    store
	connect  func() lock.Backend // one for each process
	ttl      time.Duration
	close    func()
}

const (
	// shortTTL does not bore anyone who waits for its end.
	shortTTL = 300 * time.Millisecond
	// wholeTTL is the shortest where servers count in seconds.
	wholeTTL = time.Second
)

func (o Options) open(ctx context.Context) (engine, error) {
	switch o.Engine {
	case "", "mem":
		return openMemory(), nil
	case "redis":
		return openRedis(o.Addr), nil
	case "etcd":
		return openEtcd(ctx, o.Addr)
	case "nats":
		return openNATS(ctx, o.Addr)
	}
	return engine{}, fmt.Errorf("engine %q: want mem, redis, etcd or nats", o.Engine)
}
