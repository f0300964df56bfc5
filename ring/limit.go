package ring

import (
	"math/bits"
	"slices"
)

// quotas returns how many of the slots each member may have: c times its share, or its share rounded up where that is more,
// so that all slots together have room. Both are rounded as numbers of 15 binary digits after the point, lest a c of 1.1,
// which no binary number is, makes 10 of 11.
func quotas(slots int, members []member, c float64) []int {
	const point, grain = 32, 1 << 17
	var total uint64
	for _, m := range members {
		total += m.weight // no overflow: see MaxNodes and MaxWeight
	}
	most := make([]int, len(members))
	for i, m := range members {
		limited := muldiv(uint64(slots)*uint64(c*(1<<point)), m.weight, total) + grain
		share := muldiv(uint64(slots)<<point, m.weight, total) + (1<<point - 1) - grain
		most[i] = int(max(limited, share) >> point)
	}
	return most
}

// muldiv returns a*b/c rounded down, where b is at most c.
func muldiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// won is a slot that a candidate has, with its score there.
type won struct {
	score uint64
	slot  uint32
}

// worse orders what a candidate would give up first.
func (w won) worse(o won) bool {
	return w.score > o.score || w.score == o.score && w.slot > o.slot
}

// limit returns who owns each slot when no candidate may have more than its quota. Candidates give up their worst slots, and
// those ask the next in their order of preference, until all are accepted: the outcome of this does not depend on the
// order in which they ask, and is what one gets from taking all pairs of slot and candidate by their scores.
func (t *slotTable) limit(quotas []int) []uint16 {
	m := matching{t, quotas, slices.Clone(t.best), make([][]won, len(quotas)), t.places()}
	logs := logs()
	for slot, node := range t.best {
		at := m.place[node]
		m.has[at] = append(m.has[at], won{t.candidates[at].score(logs, slotKey(slot), nothing), uint32(slot)})
	}
	type refusal struct {
		won
		by int
	}
	var refused []refusal
	for i, q := range quotas {
		heapify(m.has[i], won.worse)
		for len(m.has[i]) > q {
			refused = append(refused, refusal{m.has[i][0], i})
			m.has[i] = pop(m.has[i], won.worse)
		}
	}
	for _, r := range refused {
		m.settle(r.won, r.by)
	}
	return m.owners
}

// matching is a state of limit.
type matching struct {
	*slotTable
	quotas []int
	owners []uint16
	has    [][]won // by candidate, as a heap whose first is the worst
	place  []int   // of candidates by node
}

// settle finds a place for a slot that candidate by has refused, and for those that it drives out.
func (m *matching) settle(w won, by int) {
	for {
		s, next := m.after(int(w.slot), w.score, m.candidates[by].node)
		w.score, by = s, next
		has := m.has[next]
		if len(has) < m.quotas[next] {
			m.owners[w.slot] = m.candidates[next].node
			m.has[next] = push(has, w, won.worse)
			return
		}
		if has[0].worse(w) {
			m.owners[w.slot] = m.candidates[next].node
			w, has[0] = has[0], w
			sink(has, 0, won.worse)
		}
	}
}

// after returns the candidate that follows in the slot's order of preference the one with that score and node. There is one,
// since not all quotas are used up while a slot has no place.
func (t *slotTable) after(slot int, score uint64, node uint16) (uint64, int) {
	logs, key := logs(), slotKey(slot)
	last := scored{score, node}
	best, at := scored{nothing, nobody}, -1
	for i := range t.candidates {
		c := &t.candidates[i]
		s := scored{c.score(logs, key, best.score), c.node}
		if last.less(s) && s.less(best) {
			best, at = s, i
		}
	}
	return best.score, at
}
