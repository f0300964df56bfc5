package ring

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Shuffle returns a view of n of the active nodes, chosen for tenant: shuffle sharding. Two tenants have few nodes in
// common, so one that breaks its nodes leaves most others with some that work. The zones take turns in giving a node, and
// within a zone heavier nodes are chosen more often; n below 1 gives none, n above what is active all.
//
// The choice depends on the tenant and on the nodes' IDs, weights and zones. When a node joins or leaves, a tenant's set
// changes by that node and by one that takes or gives its place. The view builds a placement of its own: keep it while
// the ring's is the same. It has the version of v and a fingerprint of its own.
func (v *View) Shuffle(tenant string, n int) *View {
	chosen := v.emptied()
	if n >= 1 {
		var err error
		if chosen, err = chosen.with(v.deal(tenant, n)); err != nil {
			return v.emptied() // Not reached: these are some of the nodes that made v.
		}
	}
	chosen.version = v.version
	return chosen
}

// deal takes the nodes in the order of their scores for tenant, from each zone in turn.
func (v *View) deal(tenant string, n int) []Node {
	logs, key := logs(), mix(xxhash.Sum64String(tenant))
	dealt := make([]scored, 0, v.active)
	for _, m := range activeOf(v.nodes) {
		c := candidateOf(m.hash, m.weight, m.index)
		dealt = append(dealt, scored{c.score(logs, key, nothing), c.node})
	}
	slices.SortFunc(dealt, func(a, b scored) int { return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.node, b.node)) })
	round := make([]int, len(v.nodes)) // in which its zone offers a node
	seen := make([]int, v.zones)
	for _, d := range dealt {
		z := v.zone[d.node]
		round[d.node] = seen[z]
		seen[z]++
	}
	slices.SortStableFunc(dealt, func(a, b scored) int { return cmp.Compare(round[a.node], round[b.node]) })
	nodes := make([]Node, min(n, len(dealt)))
	for i := range nodes {
		nodes[i] = v.nodes[dealt[i].node]
	}
	return nodes
}
