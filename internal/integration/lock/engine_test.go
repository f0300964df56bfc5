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

// durable is a store of one server that can crash and come back with what it had.
type durable interface {
	store
	restart(t *testing.T)
}

// cluster is a store that outlives the loss of a member.
type cluster interface {
	store
	// leader returns which one leads. The links of a process have the same order.
	leader(t *testing.T) int
	// Isolate cuts a member off from the others, not from its clients.
	Isolate(member int)
	// Heal ends that.
	Heal()
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
	{"nats", func(t *testing.T) store { return newNATS(t, 1) }},
	{"nats cluster", func(t *testing.T) store { return newNATS(t, 3) }},
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

// onDurable runs a test on every engine whose server can lose its memory and keep its data.
func onDurable(t *testing.T, test func(t *testing.T, s durable)) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) durable{
		"redis": func(t *testing.T) durable { return realRedis(t, "--appendonly", "yes", "--appendfsync", "always") },
		"etcd":  func(t *testing.T) durable { return newEtcd(t, 1) },
		"nats":  func(t *testing.T) durable { return newNATS(t, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// onClusters runs a test on every engine that has a leader and a majority.
func onClusters(t *testing.T, test func(t *testing.T, s cluster)) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) cluster{
		"etcd": func(t *testing.T) cluster { return newEtcd(t, 3) },
		"nats": func(t *testing.T) cluster { return newNATS(t, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
