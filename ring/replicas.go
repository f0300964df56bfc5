package ring

import "iter"

// Replicas yields up to n nodes for key, all different, the owner first: first one node of each zone, then the others. It
// yields what there is if n is more, and nothing if n is less than 1.
//
// Behind it is an order of all nodes for the key: that of the scores or of the points after the key's. The first of each zone
// come first in that order, then the others. When nodes join or leave, the others keep their places in it, but for what
// MaxLoad and Ketama move. So if the owner goes, the next in that order owns the key; with zones that need not be the
// second replica, which is of another zone. If n is the number of zones each has one replica of each key, so each node of
// a small zone holds more keys than each of a large one.
func (v *View) Replicas(key string, n int) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, node := range v.AppendReplicas(nil, key, n) {
			if !yield(node) {
				return
			}
		}
	}
}

// AppendReplicas appends to dst what Replicas yields, and allocates nothing if dst has room.
//
// On Slots the first 4 of each slot are kept from when they were first asked for, in 8 bytes for each slot. Until then, in
// each new view, and for more than 4, they cost time in proportion to the nodes: microseconds where there are hundreds.
func (v *View) AppendReplicas(dst []Node, key string, n int) []Node {
	v.replicas(v.Hash(key), n, func(node uint16) { dst = append(dst, v.nodes[node]) })
	return dst
}

// replicas calls yield for the indexes of up to n nodes for h.
func (v *View) replicas(h uint64, n int, yield func(node uint16)) {
	if v.table == nil || n < 1 {
		return
	}
	if t, ok := v.table.(*slotTable); ok && n <= maxRanks {
		for w := t.rank(h, v); w != 0 && n > 0; w >>= rankBits {
			yield(uint16(w - 1))
			n--
		}
		return
	}
	p := pick(v, h, n)
	for _, node := range p.picked {
		yield(node)
	}
	p.done()
}
