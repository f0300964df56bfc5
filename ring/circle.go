package ring

import (
	"fmt"
	"math/bits"
	"slices"
)

// circle is a placement by points: a hash belongs to the node of the first point at or after it.
type circle struct {
	points []uint64 // in order; a position in the upper 48 bits, the index of a node in the others; the first one again at the end
	guide  []uint32 // by the upper bits of a hash, the first point at or after them
	shift  uint
	nodes  int // that have points
}

// nodeBits is how many bits of a point are the index of its node. Where positions are equal the lower index, that is the
// lower ID, comes first.
const nodeBits = 16

const nodeMask = 1<<nodeBits - 1

// newCircle takes points in order, of which there is at least one.
func newCircle(points []uint64) *circle {
	var owners bitset
	owners.reset(MaxNodes)
	nodes := 0
	for _, p := range points {
		if owners.add(int(p & nodeMask)) {
			nodes++
		}
	}
	k := uint(bits.Len(uint(len(points))))
	t := &circle{shift: 64 - k, guide: make([]uint32, 1<<k), nodes: nodes}
	b := 0
	for i, p := range points {
		for ; b <= int(p>>t.shift); b++ {
			t.guide[b] = uint32(i)
		}
	}
	for ; b < len(t.guide); b++ {
		t.guide[b] = uint32(len(points))
	}
	t.points = append(points, ^uint64(nodeMask)|points[0]&nodeMask)
	return t
}

func (t *circle) at(h uint64) int { return int(t.points[t.first(h)] & nodeMask) }

// first returns the index of the first point at or after h. The last point is after all.
func (t *circle) first(h uint64) uint32 {
	i := t.guide[h>>t.shift]
	for h &^= nodeMask; t.points[i] < h; {
		i++
	}
	return i
}

func (t *circle) segment(i int) (uint64, int) {
	return t.points[i] | nodeMask, int(t.points[i] & nodeMask)
}

// prefer goes round until it has met all nodes. Those without points come last.
func (t *circle) prefer(h uint64, p *picker) {
	n := len(t.points) - 1 // the last one is the first again
	for i := int(t.first(h)); p.met() < t.nodes; i++ {
		if p.take(int(t.points[i%n] & nodeMask)) {
			return
		}
	}
	for i, node := range p.view.nodes {
		if node.State == Active && p.take(i) {
			return
		}
	}
}

// places returns how many of n points per weight of 1 a member has.
func (m member) places(n int) int {
	return max(1, int((uint64(n)*m.weight+1<<(weightBits-1))>>weightBits))
}

// append appends the member's points from one up to, not including, another.
func (m member) append(points []uint64, from, to int) []uint64 {
	for i := from; i < to; i++ {
		points = append(points, mix(m.hash+uint64(i+1)*golden)&^nodeMask|uint64(m.index))
	}
	return points
}

func buildVNodes(n int, nodes []Node, members []member, prev *View) (table, error) {
	var total int64
	for _, m := range members {
		total += int64(m.places(n))
	}
	if total > maxPoints {
		return nil, fmt.Errorf("%w: %d points for %v and these weights: want at most %d; only the relation of weights counts",
			ErrInvalid, total, VNodes(n), maxPoints)
	}
	had := make([]int, len(nodes))
	var old, gone []uint64
	to := translate(prev.nodes, nodes)
	if c, ok := prev.table.(*circle); ok {
		old = c.points[:len(c.points)-1]
		now := make([]int, len(nodes))
		for _, m := range members {
			now[m.index] = m.places(n)
		}
		for _, m := range activeOf(prev.nodes) {
			has, keeps := m.places(n), 0
			if i := to[m.index]; i >= 0 {
				had[i], keeps = has, min(now[i], has)
			}
			gone = m.append(gone, keeps, has)
		}
	}
	var come []uint64
	for _, m := range members {
		come = m.append(come, had[m.index], m.places(n))
	}
	slices.Sort(gone)
	slices.Sort(come)
	return newCircle(merge(make([]uint64, 0, total+1), old, gone, come, to)), nil
}

// merge appends to dst the old points, with the indexes of their nodes translated, without those that are gone and with
// those that come, all in order.
func merge(dst, old, gone, come []uint64, to []int) []uint64 {
	for _, p := range old {
		if len(gone) > 0 && gone[0] == p {
			gone = gone[1:]
			continue
		}
		p = p&^nodeMask | uint64(to[p&nodeMask])
		for len(come) > 0 && come[0] < p {
			dst = append(dst, come[0])
			come = come[1:]
		}
		dst = append(dst, p)
	}
	return append(dst, come...)
}
