package natsserver

import (
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

const (
	startTimeout = 60 * time.Second // it takes about 10 ms
	maxMemory    = 64 << 20
	maxStore     = 1 << 30
)

// node is one nats-server, which may be started again after its end.
type node struct {
	c             *Cluster
	name, dir     string
	mods          []func(*server.Options)
	client, route *faultproxy.Proxy
	server        atomic.Pointer[server.Server] // nil while it does not run
	isolated      atomic.Bool
}

func newNode(t testing.TB, c *Cluster, number int, mods []func(*server.Options)) *node {
	t.Helper()
	n := &node{
		c: c, name: fmt.Sprintf("n%d", number), dir: t.TempDir(), mods: mods,
		client: faultproxy.New(t, "tcp", ""), route: faultproxy.New(t, "tcp", ""),
	}
	n.route.SetIdentify(identify)
	return n
}

func (n *node) options() *server.Options {
	o := &server.Options{
		ServerName: n.name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: n.dir, JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
	}
	if len(n.c.nodes) > 1 {
		o.Cluster = server.ClusterOpts{
			Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT, Advertise: n.route.Addr(), NoAdvertise: true,
		}
		for _, other := range n.others() {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: other.route.Addr()})
		}
	}
	for _, mod := range n.mods {
		mod(o)
	}
	return o
}

func (n *node) others() []*node {
	var others []*node
	for _, other := range n.c.nodes {
		if other != n {
			others = append(others, other)
		}
	}
	return others
}

// start returns when the node accepts clients.
func (n *node) start() error {
	s, err := server.NewServer(n.options())
	if err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.server.Store(s)
	if n.isolated.Load() {
		n.cut(true) // its name towards the others is a new one
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return fmt.Errorf("%s did not serve within %s", n.name, startTimeout)
	}
	n.client.SetTarget("tcp", s.Addr().String())
	if addr := s.ClusterAddr(); addr != nil {
		n.route.SetTarget("tcp", addr.String())
	}
	return nil
}

// stop cuts the node off before it can give its leadership away, and lets nothing pass later that it said meanwhile.
func (n *node) stop() {
	s := n.server.Load()
	if s == nil {
		return
	}
	n.cut(true)
	n.client.SetTarget("tcp", "")
	n.route.SetTarget("tcp", "")
	n.client.ResetAll()
	s.Shutdown()
	s.WaitForShutdown()
	n.route.ResetAll()
	for _, other := range n.others() {
		other.route.ResetPeer(s.ID())
	}
	n.cut(n.isolated.Load())
	n.server.Store(nil)
}

// reachable returns the server if it runs and the others can reach it.
func (n *node) reachable() *server.Server {
	if n.isolated.Load() {
		return nil
	}
	return n.server.Load()
}
