package ring

import (
	"sync"
)

// picker collects nodes in the order of preference: first the best of each zone, then the others.
type picker struct {
	want   int
	view   *View
	picked []uint16
	others []uint16 // whose zone has been picked from
	nodes  bitset   // that were offered
	zones  bitset   // that were picked from
	left   int      // zones to pick from
	scores []scored // scratch of slotTable.prefer
	counts []int    // the same
}

var pickers = sync.Pool{New: func() any { return new(picker) }}

// pick returns up to want nodes for h. The caller calls done when it has read them.
func pick(v *View, h uint64, want int) *picker {
	p := pickers.Get().(*picker)
	p.want, p.view, p.left = min(want, v.active), v, v.zones
	p.picked, p.others = p.picked[:0], p.others[:0]
	p.nodes.reset(len(v.nodes))
	p.zones.reset(v.zones)
	v.table.prefer(h, p)
	for _, node := range p.others {
		if len(p.picked) == p.want {
			break
		}
		p.picked = append(p.picked, node)
	}
	return p
}

// take takes the next node in the order of preference; it may be offered again. It reports whether there are enough.
func (p *picker) take(node int) bool {
	if p.nodes.add(node) {
		if p.zones.add(int(p.view.zone[node])) {
			p.picked = append(p.picked, uint16(node))
			p.left--
		} else {
			p.others = append(p.others, uint16(node))
		}
	}
	return len(p.picked) >= p.want || p.left == 0 && p.met() >= p.want
}

// met returns how many nodes were offered.
func (p *picker) met() int { return len(p.picked) + len(p.others) }

// done gives p back.
func (p *picker) done() {
	p.view = nil
	pickers.Put(p)
}

// bitset is a set of small numbers.
type bitset []uint64

// reset empties b and makes room for numbers below n.
func (b *bitset) reset(n int) {
	words := (n + 63) / 64
	if cap(*b) < words {
		*b = make(bitset, words)
		return
	}
	*b = (*b)[:words]
	clear(*b)
}

// add reports whether i was not in b, and adds it.
func (b bitset) add(i int) bool {
	bit := uint64(1) << (i % 64)
	was := b[i/64]
	b[i/64] = was | bit
	return was&bit == 0
}
