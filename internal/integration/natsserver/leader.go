package natsserver

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const settleTime = 60 * time.Second // for nodes to agree; an election takes up to 9 s

// StreamLeader waits until the stream has a leader and returns that. Nodes that are stopped or isolated do not count. The
// stream belongs to the account that clients have by default.
func (c *Cluster) StreamLeader(t testing.TB, stream string) int {
	t.Helper()
	leader := -1
	eventually(t, "stream "+stream+" must have a leader", func() bool {
		leader = c.streamLeader(stream)
		return leader >= 0
	})
	return leader
}

// streamLeader returns -1 if there is none.
func (c *Cluster) streamLeader(stream string) int {
	if len(c.nodes) == 1 {
		return 0
	}
	for i, n := range c.nodes {
		if s := n.reachable(); s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// settled tells whether one node leads JetStream and has heard of all.
func (c *Cluster) settled() bool {
	for _, n := range c.nodes {
		if s := n.reachable(); s != nil && s.JetStreamIsLeader() {
			return len(s.JetStreamClusterPeers()) == len(c.nodes)
		}
	}
	return false
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > settleTime {
			t.Fatalf("natsserver: %s", what)
		}
	}
}
