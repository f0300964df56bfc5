package natsserver

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// reconnectWait is short for a server that is on this machine.
const reconnectWait = 50 * time.Millisecond

// Links returns new links to all nodes, with faults of their own, that last until t ends. A node that does not run
// resets connections after it has accepted them.
func (c *Cluster) Links(t testing.TB) faultproxy.Links {
	t.Helper()
	links := make(faultproxy.Links, len(c.nodes))
	for i, n := range c.nodes {
		links[i] = faultproxy.New(t, "tcp", n.client.Addr())
	}
	return links
}

// Dial returns a client that knows all nodes and whose links stay whole. It is closed when t ends.
func (c *Cluster) Dial(t testing.TB) *nats.Conn {
	t.Helper()
	links := make(faultproxy.Links, len(c.nodes))
	for i, n := range c.nodes {
		links[i] = n.client
	}
	return c.DialThrough(t, links, nil)
}

// DialThrough is like [Cluster.Dial] but connects by way of links, some or all that [Cluster.Links] has returned. They
// are healed before the client is closed. The client knows no other way to the nodes, and tries them for ever, one
// every 50 to 150 ms. It drops asynchronous errors, which it would print; the rest is nats.go's default but for what mod,
// which may be nil, changes.
func (c *Cluster) DialThrough(t testing.TB, links faultproxy.Links, mod func(*nats.Options)) *nats.Conn {
	t.Helper()
	o := nats.GetDefaultOptions()
	for _, addr := range links.Addrs() {
		o.Servers = append(o.Servers, "nats://"+addr)
	}
	o.IgnoreDiscoveredServers = true
	o.MaxReconnect = -1
	o.ReconnectWait = reconnectWait
	o.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {}
	if mod != nil {
		mod(&o)
	}
	nc, err := o.Connect()
	if err != nil {
		t.Fatalf("natsserver: %v", err)
	}
	t.Cleanup(func() {
		links.Heal()
		nc.Close()
	})
	return nc
}
