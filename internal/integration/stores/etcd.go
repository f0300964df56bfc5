package stores

import (
	"testing"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/concordkit/concord/internal/integration/etcdserver"
	"github.com/concordkit/concord/internal/integration/faultproxy"
	"github.com/concordkit/concord/lock"
	"github.com/concordkit/concord/lock/etcdlock"
)

// Etcd is an etcd cluster of one member or more.
type Etcd struct{ *etcdserver.Cluster }

// NewEtcd starts one until t ends; mods change the configuration of each member.
func NewEtcd(t testing.TB, members int, mods ...func(*embed.Config)) Etcd {
	t.Helper()
	return Etcd{etcdserver.Start(t, members, mods...)}
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
