package lock_test

import (
	"testing"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/lock"
)

// store is what keeps the leases of a test: a server, or a cluster of them.
type store interface {
	// links returns the links of a new process to the store.
	links(t *testing.T) faultproxy.Links
	// dial returns a Backend with a client of its own, by those links, or without any.
	dial(t *testing.T, links faultproxy.Links) lock.Backend
}

// durable is a store that can crash and come back with what it had.
type durable interface {
	store
	restart(t *testing.T)
}

// engines open a store of their own for each test.
var engines = []struct {
	name string
	open func(t *testing.T) store
}{
	{"redis", func(t *testing.T) store { return anyRedis(t) }},
	{"redis with deadlines", func(t *testing.T) store { return anyRedis(t).with(heedful) }},
	{"etcd", func(t *testing.T) store { return newEtcd(t, 1) }},
	{"etcd cluster", func(t *testing.T) store { return newEtcd(t, 3) }},
}

// onEngines runs a test on every engine, side by side.
func onEngines(t *testing.T, test func(t *testing.T, s store)) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e.open(t))
		})
	}
}
