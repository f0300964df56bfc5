package ring

import (
	"cmp"
	"math"
	"sync/atomic"
)

const (
	// nobody is no index of a node.
	nobody = math.MaxUint16
	// nothing limits no score.
	nothing = math.MaxUint64
)

// slotTable says who owns each slot of the space of hashes.
type slotTable struct {
	shift      uint     // from a hash to its slot
	owners     []uint16 // by slot
	best       []uint16 // by slot, the winner before any limit; owners where there is none
	candidates []candidate
	ranks      atomic.Pointer[[]atomic.Uint64] // by slot, the first of its order of preference; made when first needed
}

func (t *slotTable) at(h uint64) int { return int(t.owners[h>>t.shift]) }

func (t *slotTable) segments() int { return len(t.owners) }

func (t *slotTable) segment(i int) (uint64, int) {
	return uint64(i+1)<<t.shift - 1, int(t.owners[i]) // the last one wraps to the largest hash
}

func buildSlots(p Placement, nodes []Node, members []member, prev *View) *slotTable {
	t := &slotTable{shift: uint(64 - p.n), candidates: make([]candidate, len(members))}
	for i, m := range members {
		t.candidates[i] = candidateOf(m.hash, m.weight, m.index)
	}
	t.best = make([]uint16, 1<<p.n)
	if old, ok := prev.table.(*slotTable); !ok {
		t.contest(func(int) uint16 { return nobody }, nil)
	} else {
		keeps, news := t.compare(old, prev.nodes, nodes)
		t.contest(func(slot int) uint16 { return keeps[old.best[slot]] }, news)
	}
	t.owners = t.best
	if p.cap != 0 {
		t.owners = t.limit(quotas(len(t.best), members, p.cap))
	}
	return t
}

// compare returns for the nodes of prev by which index they still win what they won, nobody for those that may not, and the
// candidates that may win more than they did.
func (t *slotTable) compare(old *slotTable, before, nodes []Node) (keeps []uint16, news []candidate) {
	scales := make([]uint64, len(nodes)) // before; 0 for those that had none
	now := make([]uint64, len(nodes))
	for _, c := range t.candidates {
		now[c.node] = c.scale
	}
	keeps = make([]uint16, len(before))
	to := translate(before, nodes)
	for _, c := range old.candidates {
		keeps[c.node] = nobody
		if i := to[c.node]; i >= 0 {
			scales[i] = c.scale
			if now[i] != 0 && now[i] <= c.scale { // no lighter than it was
				keeps[c.node] = uint16(i)
			}
		}
	}
	for _, c := range t.candidates {
		if was := scales[c.node]; was == 0 || c.scale < was {
			news = append(news, c)
		}
	}
	return keeps, news
}

// contest finds the winner of each slot. The winner that keeps knows has to beat news only; where it knows nobody, all
// candidates take part.
func (t *slotTable) contest(keeps func(slot int) uint16, news []candidate) {
	logs := logs()
	place := t.places()
	for slot := range t.best {
		key, winner, lowest, rivals := slotKey(slot), keeps(slot), uint64(nothing), t.candidates
		if winner != nobody {
			rivals = news
			if len(news) > 0 {
				lowest = t.candidates[place[winner]].score(logs, key, nothing)
			}
		}
		for i := range rivals {
			c := &rivals[i]
			if s := c.score(logs, key, lowest); s < lowest || s == lowest && c.node < winner {
				lowest, winner = s, c.node
			}
		}
		t.best[slot] = winner
	}
}

// places returns where each node stands among the candidates.
func (t *slotTable) places() []int {
	last := t.candidates[len(t.candidates)-1].node // they are in order
	place := make([]int, last+1)
	for i, c := range t.candidates {
		place[c.node] = i
	}
	return place
}

// prefer orders the candidates by their scores, behind the owner.
func (t *slotTable) prefer(h uint64, p *picker) {
	if p.take(t.at(h)) {
		return
	}
	logs, key := logs(), slotKey(int(h>>t.shift))
	scores := p.scores[:0]
	for i := range t.candidates {
		c := &t.candidates[i]
		scores = append(scores, scored{c.score(logs, key, nothing), c.node})
	}
	p.scores = scores
	heapify(scores, scored.less)
	for len(scores) > 0 {
		if p.take(int(scores[0].node)) {
			return
		}
		scores = pop(scores, scored.less)
	}
}

// scored is a candidate's score for a slot.
type scored struct {
	score uint64
	node  uint16
}

// less is the order of preference. IDs, whose order is that of the indexes, decide between equal scores.
func (s scored) less(o scored) bool {
	return s.score < o.score || s.score == o.score && s.node < o.node
}

func (s scored) compare(o scored) int {
	return cmp.Or(cmp.Compare(s.score, o.score), cmp.Compare(s.node, o.node))
}

// rankBits is how many bits of a word of ranks hold one node, plus 1 so that 0 is none.
const (
	rankBits = 16
	maxRanks = 64 / rankBits
)

// rank returns the word that holds the first nodes in the order of preference for h, from a cache that fills as it is asked.
// It takes 8 bytes for each slot.
func (t *slotTable) rank(h uint64, v *View) uint64 {
	words := t.ranks.Load()
	if words == nil {
		made := make([]atomic.Uint64, len(t.owners))
		if !t.ranks.CompareAndSwap(nil, &made) {
			return t.rank(h, v)
		}
		words = &made
	}
	word := &(*words)[h>>t.shift]
	w := word.Load()
	if w == 0 {
		p := pick(v, h, maxRanks)
		for i, node := range p.picked {
			w |= uint64(node+1) << (rankBits * i)
		}
		p.done()
		word.Store(w)
	}
	return w
}
