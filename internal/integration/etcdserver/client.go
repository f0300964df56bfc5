package etcdserver

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	dialTimeout = 5 * time.Second
	// keepAliveTime is the shortest that gRPC has; it makes 10 s of anything below.
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// Links returns new links to all members, with faults of their own, that last until t ends. A member that does not run
// resets connections after it has accepted them.
func (c *Cluster) Links(t testing.TB) faultproxy.Links {
	t.Helper()
	links := make(faultproxy.Links, len(c.members))
	for i, m := range c.members {
		links[i] = faultproxy.New(t, "tcp", m.client.Addr())
	}
	return links
}

// Dial returns a client that knows all members and whose links stay whole. It is closed when t ends.
func (c *Cluster) Dial(t testing.TB) *clientv3.Client {
	t.Helper()
	links := make(faultproxy.Links, len(c.members))
	for i, m := range c.members {
		links[i] = m.client
	}
	return c.DialThrough(t, links, nil)
}

// DialThrough is like [Cluster.Dial] but connects by way of links, some or all that [Cluster.Links] has returned. They
// are healed before the client is closed. The client logs nothing, has a DialTimeout of 5 s, and gives up a connection
// that has been silent for 13 s (DialKeepAliveTime 10 s, DialKeepAliveTimeout 3 s); the rest is clientv3's default but
// for what mod, which may be nil, changes. It must not Sync: the addresses that members advertise bypass the links.
func (c *Cluster) DialThrough(t testing.TB, links faultproxy.Links, mod func(*clientv3.Config)) *clientv3.Client {
	t.Helper()
	cfg := clientv3.Config{
		Endpoints: links.Addrs(), DialTimeout: dialTimeout,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		Logger: zap.NewNop(),
	}
	if mod != nil {
		mod(&cfg)
	}
	cli, err := clientv3.New(cfg)
	if err != nil {
		t.Fatalf("etcdserver: %v", err)
	}
	t.Cleanup(func() {
		links.Heal()
		cli.Close()
	})
	return cli
}
