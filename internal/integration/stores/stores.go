// Package stores gives a test what keeps the leases of package lock, of each engine in turn: a server of its own, or a
// cluster.
package stores

import (
	"testing"

	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/lock"
)

// Store is what keeps the leases of a test.
type Store interface {
	// Links returns the links of a new process to the store, one to each member.
	Links(t testing.TB) faultproxy.Links
	// Connect returns a Backend with a client of its own, by those links, or without any.
	Connect(t testing.TB, links faultproxy.Links) lock.Backend
}

// Durable is a Store of one server.
type Durable interface {
	Store
	// Crash ends the server at once and starts it again with what it had stored.
	Crash()
}

// Cluster is a Store that outlives the loss of a member.
type Cluster interface {
	Store
	// Leader returns which member leads. The links of a process have the same order.
	Leader(t testing.TB) int
	// Isolate cuts a member off from the others, not from its clients.
	Isolate(member int)
	// Heal ends that.
	Heal()
}

// OnEach runs a test on every engine, side by side. Redis has a stand-in where it is not installed.
func OnEach(t *testing.T, test func(t *testing.T, s Store)) {
	on(t, map[string]func(t *testing.T) Store{
		"redis":                func(t *testing.T) Store { return AnyRedis(t) },
		"redis with deadlines": func(t *testing.T) Store { return AnyRedis(t).With(Heedful) },
		"etcd":                 func(t *testing.T) Store { return NewEtcd(t, 1) },
		"etcd cluster":         func(t *testing.T) Store { return NewEtcd(t, 3) },
		"nats":                 func(t *testing.T) Store { return NewNATS(t, 1) },
		"nats cluster":         func(t *testing.T) Store { return NewNATS(t, 3) },
	}, test)
}

// OnDurable runs a test on every engine whose server can lose its memory and keep its data.
func OnDurable(t *testing.T, test func(t *testing.T, s Durable)) {
	on(t, map[string]func(t *testing.T) Durable{
		"redis": func(t *testing.T) Durable { return RealRedis(t, "--appendonly", "yes", "--appendfsync", "always") },
		"etcd":  func(t *testing.T) Durable { return NewEtcd(t, 1) },
		"nats":  func(t *testing.T) Durable { return NewNATS(t, 1) },
	}, test)
}

// OnClusters runs a test on every engine that has a leader and a majority.
func OnClusters(t *testing.T, test func(t *testing.T, s Cluster)) {
	on(t, map[string]func(t *testing.T) Cluster{
		"etcd": func(t *testing.T) Cluster { return NewEtcd(t, 3) },
		"nats": func(t *testing.T) Cluster { return NewNATS(t, 3) },
	}, test)
}

func on[S Store](t *testing.T, open map[string]func(t *testing.T) S, test func(t *testing.T, s S)) {
	t.Parallel()
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
