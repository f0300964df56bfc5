package ring

import (
	"math"
	"slices"
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

func (t *slotTable) segment(i int) (uint64, int) {
	return uint64(i+1)<<t.shift - 1, int(t.owners[i]) // the last one wraps to the largest hash
}

func buildSlots(p Placement, nodes []Node, members []member, prev *View) *slotTable {
	t := &slotTable{shift: uint(64 - p.n), candidates: make([]candidate, len(members))}
	for i, m := range members {
		t.candidates[i] = candidateOf(m.hash, m.weight, m.index)
	}
	t.best = make([]uint16, 1<<p.n)
	if old, ok := prev.table.(*slotTable); ok {
		t.change(old, prev.nodes, nodes)
	} else {
		logs := logs()
		for slot := range t.best {
			t.best[slot] = contest(logs, slotKey(slot), t.candidates, nobody, nothing)
		}
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

// change finds the winner of each slot from those before.
func (t *slotTable) change(old *slotTable, before, nodes []Node) {
	keeps, news := t.compare(old, before, nodes)
	logs, place := logs(), t.places()
	for slot, was := range old.best {
		key, winner := slotKey(slot), keeps[was]
		if winner == nobody {
			winner = contest(logs, key, t.candidates, nobody, nothing)
		} else if len(news) > 0 {
			winner = defend(logs, key, &t.candidates[place[winner]], news)
		}
		t.best[slot] = winner
	}
}

// contest returns the winner of the slot with that key among candidates and one whose score is known.
func contest(logs *logTable, key uint64, candidates []candidate, winner uint16, lowest uint64) uint16 {
	for i := range candidates {
		c := &candidates[i]
		if s := c.score(logs, key, lowest); s < lowest || s == lowest && c.node < winner {
			lowest, winner = s, c.node
		}
	}
	return winner
}

// defend returns the winner among the one that was it and news, most of which are far from it.
func defend(logs *logTable, key uint64, was *candidate, news []candidate) uint16 {
	ceiling := was.ceiling(key)
	for i := range news {
		if news[i].score(logs, key, ceiling) <= ceiling {
			return contest(logs, key, news[i:], was.node, was.score(logs, key, nothing))
		}
	}
	return was.node
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
	best := t.nearest(int(h>>t.shift), p)
	heapify(best, scored.less)
	for len(best) > 0 {
		if p.take(int(best[0].node)) {
			return
		}
		best = pop(best, scored.less)
	}
}

// nearest returns the scores of those candidates that p may pick: of each zone as many as it wants. So most others fail that
// limit, which spares their logarithms.
func (t *slotTable) nearest(slot int, p *picker) []scored {
	key, logs, zones := slotKey(slot), logs(), p.view.zones
	per := p.want
	if per > len(t.candidates)/zones/4 { // too many for the limit to pay
		zones, per = 1, len(t.candidates)
	}
	p.scores = slices.Grow(p.scores[:0], zones*per)[:zones*per]
	p.counts = slices.Grow(p.counts[:0], zones)[:zones]
	clear(p.counts)
	for i := range t.candidates {
		c := &t.candidates[i]
		zone := int(p.view.zone[c.node]) % zones
		n := p.counts[zone]
		top := p.scores[zone*per : zone*per+per]
		if n < per {
			top[n] = scored{c.score(logs, key, nothing), c.node}
			p.counts[zone]++
		} else if s := (scored{c.score(logs, key, top[n-1].score), c.node}); s.less(top[n-1]) {
			n--
			top[n] = s
		} else {
			continue
		}
		if per < len(t.candidates) { // in order, so that the last one is the limit
			for ; n > 0 && top[n].less(top[n-1]); n-- {
				top[n], top[n-1] = top[n-1], top[n]
			}
		}
	}
	best := p.scores[:0]
	for zone, n := range p.counts {
		best = append(best, p.scores[zone*per:zone*per+n]...)
	}
	return best
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
