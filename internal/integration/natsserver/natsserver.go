// Package natsserver gives tests a NATS of their own: one server with JetStream, or a cluster of them, inside the test
// binary, whose nodes crash, restart and lose sight of each other on demand.
//
// Each node listens on free ports behind two proxies, one for clients and one for routes, and a cluster advertises
// those. So no port is guessed, any number of clusters run side by side, and a node that restarts has its old address.
// Every simulated process of a test breaks [Cluster.Links] of its own.
//
// # Limits
//
// A node is no process, so it cannot be paused, and what it wrote to its files survives [Cluster.Stop], synced or not.
//
// Nodes are told apart by what they say of themselves when they connect. An isolated node may still be greeted by one that
// it dials, and count that as a route; nothing else comes or goes.
//
// The timing of a cluster is NATS's own and cannot be changed. Nodes that lose the leader of a stream elect another
// after 4 to 10 s, also when all have restarted. A leader that is cut off takes 10 to 20 s to notice.
package natsserver

import (
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is one or more running servers. Its nodes have the numbers from 0. Stop, Restart, Isolate and Heal are for
// one goroutine at a time.
type Cluster struct {
	t     testing.TB
	nodes []*node
}

// Start runs nodes until t ends. It returns when they serve and, if there are more than one, all follow the leader of
// JetStream. Mods change the options of each node, at every start.
func Start(t testing.TB, nodes int, mods ...func(*server.Options)) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for i := range nodes {
		c.nodes = append(c.nodes, newNode(t, c, i, mods))
	}
	t.Cleanup(c.close)
	if err := start(c.nodes); err != nil {
		t.Fatalf("natsserver: %v", err)
	}
	if nodes > 1 {
		eventually(t, "all nodes must follow one leader", c.settled)
	}
	return c
}

// SyncAlways is a mod that makes nodes sync their files before they acknowledge a message, not every two minutes.
func SyncAlways(o *server.Options) { o.SyncAlways = true }

// Stop ends nodes at once, as crashes do: no leadership is handed over, and all connections are reset.
func (c *Cluster) Stop(nodes ...int) {
	stop(c.pick(nodes))
}

// Restart stops nodes that run and starts them again with their old data and addresses. It returns when they accept
// clients; streams with replicas take longer, see [Cluster.StreamLeader].
func (c *Cluster) Restart(nodes ...int) {
	c.t.Helper()
	c.Stop(nodes...)
	if err := start(c.pick(nodes)); err != nil {
		c.t.Errorf("natsserver: %v", err)
	}
}

func (c *Cluster) pick(numbers []int) []*node {
	picked := make([]*node, len(numbers))
	for i, n := range numbers {
		picked[i] = c.nodes[n]
	}
	return picked
}

// start runs nodes one after the other: each finds those before it at once, and would try again only after a second.
func start(nodes []*node) error {
	for _, n := range nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

func stop(nodes []*node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(n.stop)
	}
	wg.Wait()
}

func (c *Cluster) close() {
	c.Heal()
	stop(c.nodes)
}
