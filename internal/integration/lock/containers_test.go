package lock_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/internal/integration/containers"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/internal/integration/stores"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
	"github.com/concordkit/concord/lock/natslock"
	"github.com/concordkit/concord/lock/redislock"
)

// boxed is a store in containers, to which there are no links.
type boxed func(t testing.TB) lock.Backend

func (boxed) Links(testing.TB) faultproxy.Links { return nil }

func (b boxed) Connect(t testing.TB, _ faultproxy.Links) lock.Backend { return b(t) }

// server is a container that can hang.
type server interface {
	Pause(t testing.TB)
	Resume(t testing.TB)
}

func redisBox(t *testing.T) (boxed, server) {
	s := containers.StartRedis(t)
	return func(t testing.TB) lock.Backend { return redislock.New(s.Dial(t, nil), nil) }, s
}

func natsBox(t *testing.T) (boxed, server) {
	s := containers.StartNATS(t)
	connect := func(t testing.TB) jetstream.JetStream { return stores.Stream(t, s.Dial(t)) }
	_, err := connect(t).CreateKeyValue(t.Context(), natslock.Config(stores.Bucket, 1))
	require.NoError(t, err)
	return func(t testing.TB) lock.Backend { return natslock.New(connect(t), stores.Bucket) }, s
}

func TestConformanceInContainers(t *testing.T) {
	t.Parallel()
	containers.Require(t)
	etcd := containers.StartEtcd(t)
	redis, _ := redisBox(t)
	nats, _ := natsBox(t)
	for name, s := range map[string]boxed{
		"redis": redis, "nats": nats,
		"etcd": func(t testing.TB) lock.Backend { return etcdlock.New(etcd.Dial(t), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, s, faultproxy.Faults{})
		})
	}
}

func TestHolderIsToldWhenAContainerHangs(t *testing.T) { // T2
	t.Parallel()
	containers.Require(t)
	for name, open := range map[string]func(*testing.T) (boxed, server){"redis": redisBox, "nats": natsBox} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, box := open(t)
			p := direct(t, s)
			lease := p.acquire(t, "hang")
			box.Pause(t)
			within(t, ttl, lease.Context().Done(), "the loss must be told within the TTL")
			box.Resume(t)
			next := direct(t, s).acquire(t, "hang")
			require.Greater(t, next.Token(), lease.Token())
			require.ErrorIs(t, lease.Release(), lock.ErrLost)
			require.NoError(t, next.Release())
		})
	}
}

// The network of the members is taken from the leader's container.
func TestLeaderInAContainerIsCutOff(t *testing.T) {
	t.Parallel()
	containers.Require(t)
	e := containers.StartEtcd(t)
	leader := e.Leader(t)
	var others []int
	for i := range e.Members {
		if i != leader {
			others = append(others, i)
		}
	}
	only := func(members ...int) boxed {
		return func(t testing.TB) lock.Backend { return etcdlock.New(e.Dial(t, members...), nil) }
	}
	old, next := direct(t, only(leader)), direct(t, only(others...))
	lead := between(t, old, next, func() { e.Isolate(t, leader) })
	e.Heal(t)
	require.Positive(t, lead, "told after the next holder")
	require.NoError(t, old.acquireSoon(t, "again").Release())
}
