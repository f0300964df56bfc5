package natsserver

import (
	"regexp"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// from finds the name in the CONNECT of a route. It is the server's ID, which changes with every start.
var from = regexp.MustCompile(`"name":"(N[A-Z0-9]{55})"`)

func identify(first []byte) string {
	if name := from.FindSubmatch(first); name != nil {
		return string(name[1])
	}
	return ""
}

// Isolate cuts a node off from all others, both ways, also after a Restart. Nothing that they send is delivered before
// [Cluster.Heal], not even that a connection ends. Clients still reach the node, and several may be isolated, each on
// its own.
func (c *Cluster) Isolate(node int) {
	n := c.nodes[node]
	n.isolated.Store(true)
	n.cut(true)
}

// Heal ends all isolation. Faults of [Cluster.Links] stay.
func (c *Cluster) Heal() {
	for _, n := range c.nodes {
		n.route.Heal()
		n.isolated.Store(false)
	}
}

// cut puts what the node and the others send to each other in a black hole, or takes it out.
func (n *node) cut(on bool) {
	n.route.Set(faultproxy.Faults{BlackholeUp: on, BlackholeDown: on})
	s := n.server.Load()
	if s == nil {
		return
	}
	for _, other := range n.others() {
		other.route.CutPeer(s.ID(), on)
	}
}
