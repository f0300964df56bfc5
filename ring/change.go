package ring

import (
	"fmt"
	"iter"
	"math"
)

// Change is a step from one view to another.
type Change struct {
	Old, New *View
	// Version and Fingerprint are those of New.
	Version, Fingerprint uint64
	// Added and Removed are the members of one view only, Changed those of both that differ in anything, as they are in New.
	// They are sorted by ID.
	Added, Removed, Changed []Node
}

func changeOf(old, new *View) Change {
	c := Change{Old: old, New: new, Version: new.version, Fingerprint: new.fingerprint}
	to := translate(old.nodes, new.nodes)
	known := make([]bool, len(new.nodes))
	for i, n := range old.nodes {
		switch j := to[i]; {
		case j < 0:
			c.Removed = append(c.Removed, n)
		default:
			known[j] = true
			if !n.equal(new.nodes[j]) {
				c.Changed = append(c.Changed, new.nodes[j])
			}
		}
	}
	for j, n := range new.nodes {
		if !known[j] {
			c.Added = append(c.Added, n)
		}
	}
	return c
}

// none reports whether nothing differs.
func (c Change) none() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// Moves yields which hashes have another owner now. It works them out anew each time it is called. On Slots a node that joins
// n others takes about one slot of n+1, scattered, so there are about that many moves; a placement of fewer bits, such as
// Slots(10), has fewer.
func (c Change) Moves() iter.Seq[Move] {
	return func(yield func(Move) bool) {
		if c.Old != nil && c.New != nil {
			diff(c.Old, c.New, yield)
		}
	}
}

// Move says that the keys whose [View.Hash] is Lo to Hi, both included, go from the node with the ID From to the one with
// the ID To. From is empty if nobody had them, To if nobody has.
type Move struct {
	Lo, Hi   uint64
	From, To string
}

// Share returns which part of all hashes moves, 0 to 1.
func (m Move) Share() float64 { return (float64(m.Hi-m.Lo) + 1) / (1 << 64) }

// Diff yields what moves from old to new, in the order of hashes. Neighbouring ranges with the same nodes are one. The
// views may be of different rings and placements; it is an error if one is Ketama's and the other is not, which hash keys
// differently, or if one is nil.
func Diff(old, new *View) (iter.Seq[Move], error) {
	if old == nil || new == nil {
		return nil, fmt.Errorf("%w: diff of a nil View", ErrInvalid)
	}
	if (old.place.kind == ketama) != (new.place.kind == ketama) {
		return nil, fmt.Errorf("%w: diff of %v and %v, which hash keys differently", ErrInvalid, old.place, new.place)
	}
	return func(yield func(Move) bool) { diff(old, new, yield) }, nil
}

// Ranges yields what the node with that ID owns, as moves from nobody to it, in the order of hashes.
func (v *View) Ranges(id string) iter.Seq[Move] {
	return func(yield func(Move) bool) {
		diff(v.emptied(), v, func(m Move) bool { return m.To != id || yield(m) })
	}
}

// Share returns which part of all hashes the node with that ID owns, 0 to 1.
func (v *View) Share(id string) float64 {
	i, ok := find(v.nodes, id)
	if !ok {
		return 0
	}
	return v.shares()[i]
}

// Shares yields the active nodes, by ID, and which part of all hashes each owns.
func (v *View) Shares() iter.Seq2[Node, float64] {
	return func(yield func(Node, float64) bool) {
		for i, share := range v.shares() {
			if v.nodes[i].State == Active && !yield(v.nodes[i], share) {
				return
			}
		}
	}
}

// shares returns which part of all hashes each node owns.
func (v *View) shares() []float64 {
	shares := make([]float64, len(v.nodes))
	if v.table == nil {
		return shares
	}
	lo := uint64(0)
	for c := v.cursor(); ; c.skip(lo) {
		shares[c.node] += Move{Lo: lo, Hi: c.end}.Share()
		if c.end == math.MaxUint64 {
			return shares
		}
		lo = c.end + 1
	}
}

// cursor walks over the segments of a view.
type cursor struct {
	table table
	i     int
	end   uint64
	node  int // -1 if nobody owns the segment
}

func (v *View) cursor() cursor {
	if v.table == nil {
		return cursor{end: math.MaxUint64, node: -1}
	}
	c := cursor{table: v.table}
	c.end, c.node = v.table.segment(0)
	return c
}

// skip moves on to the segment that lo is in.
func (c *cursor) skip(lo uint64) {
	for c.end < lo {
		c.i++
		c.end, c.node = c.table.segment(c.i)
	}
}

func diff(old, new *View, yield func(Move) bool) {
	if old.table == new.table {
		return
	}
	to := append(translate(old.nodes, new.nodes), -1) // the last one for nobody
	a, b := old.cursor(), new.cursor()
	var pending Move // not yet yielded: the next may continue it
	has := false
	for lo := uint64(0); ; {
		end := min(a.end, b.end)
		from, now := a.node, b.node
		if from < 0 {
			from = len(to) - 1
		}
		if to[from] != now || a.node >= 0 && to[from] < 0 {
			m := Move{lo, end, old.idAt(a.node), new.idAt(b.node)}
			switch {
			case has && pending.Hi+1 == lo && pending.From == m.From && pending.To == m.To:
				pending.Hi = end
			case has && !yield(pending):
				return
			default:
				pending, has = m, true
			}
		}
		if end == math.MaxUint64 {
			break
		}
		lo = end + 1
		a.skip(lo)
		b.skip(lo)
	}
	if has {
		yield(pending)
	}
}

// idAt returns the ID of the node with that index, nothing of nobody.
func (v *View) idAt(i int) string {
	if i < 0 {
		return ""
	}
	return v.nodes[i].ID
}
