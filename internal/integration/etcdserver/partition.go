package etcdserver

import (
	"regexp"

	"github.com/concordkit/concord/internal/integration/faultproxy"
)

// from finds the header by which members name themselves when they call a peer.
var from = regexp.MustCompile(`(?i)\r\nX-Server-From: ([0-9a-f]+)\r\n`)

func identify(first []byte) string {
	if name := from.FindSubmatch(first); name != nil {
		return string(name[1])
	}
	return ""
}

// Isolate cuts a member off from all others, both ways. Nothing that they send is delivered before [Cluster.Heal], not
// even that a connection ends. Clients still reach the member, and several may be isolated, each on its own.
func (c *Cluster) Isolate(member int) {
	m := c.members[member]
	m.isolated.Store(true)
	m.peer.Set(faultproxy.Faults{BlackholeUp: true, BlackholeDown: true})
	for _, other := range c.members {
		if other != m {
			other.peer.CutPeer(m.id, true)
		}
	}
}

// Heal ends all isolation. Faults of [Cluster.Links] stay.
func (c *Cluster) Heal() {
	for _, m := range c.members {
		m.peer.Heal()
		m.isolated.Store(false)
	}
}
