// Package locks is the scenario of section 3.2, distributed locks: three workers change one account. First they lock it
// as one does at first, with SET NX and DEL, then with a lease, a token and a fence.
package locks

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/memlock"
	"github.com/concordkit/concord/lock/redislock"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "SET NX deletes another holder's lock and lets a paused client write; a lease is told, a fence refuses"

// ttl is short so that a pause that outlives it does not bore anyone.
const ttl = 300 * time.Millisecond

// Options choose the engine.
type Options struct {
	Engine string // "mem", the default, or "redis"
	Addr   string // of the redis server
}

// Run plays the scenario and writes what happens to out.
func Run(ctx context.Context, out io.Writer, o Options) error {
	store, backend, done, err := o.open()
	if err != nil {
		return err
	}
	defer done()
	fmt.Fprintln(out, "A lock with SET NX and DEL:")
	if err := obvious(ctx, out, store); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nA lease with a token and a fence:")
	return leased(ctx, out, backend)
}

// open returns the engine twice: as what SET NX needs, and as a lock.Backend.
func (o Options) open() (store, lock.Backend, func(), error) {
	switch o.Engine {
	case "", "mem":
		return newMemory(), memlock.New(), func() {}, nil
	case "redis":
		rdb := redis.NewClient(&redis.Options{Addr: o.Addr})
		return onRedis{rdb}, redislock.New(rdb, &redislock.Options{Prefix: "example:lock:"}), func() { rdb.Close() }, nil
	}
	return nil, nil, nil, fmt.Errorf("engine %q: want mem or redis", o.Engine)
}
