package stores

import (
	"testing"

	"github.com/concordkit/concord/internal/integration/etcdserver"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
)

// Etcd is an etcd cluster of one member or more.
type Etcd struct{ *etcdserver.Cluster }

// NewEtcd starts one until t ends.
func NewEtcd(t testing.TB, members int) Etcd {
	t.Helper()
	return Etcd{etcdserver.Start(t, members)}
}

// Connect implements Store.
func (s Etcd) Connect(t testing.TB, links faultproxy.Links) lock.Backend {
	t.Helper()
	if len(links) == 0 {
		return etcdlock.New(s.Dial(t), nil)
	}
	return etcdlock.New(s.DialThrough(t, links, nil), nil)
}

// Crash implements Durable.
func (s Etcd) Crash() { s.Restart(0) }
