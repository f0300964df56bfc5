package natslock

import (
	"cmp"
	"slices"

	"github.com/concordkit/concord/lock"
)

// view is what is known of the lines under a filter, by the messages up to a sequence. It may lag behind the server, and so
// show claims that have ended. It misses none that is ahead of one it shows: claims come in the order of their creates, and
// whoever has seen one has seen all before it.
type view struct {
	upTo  uint64
	lines map[string][]entry // in order
}

// entry is a claim.
type entry struct {
	key string
	seq uint64
	record
	err error // why it is not a claim
}

func newView(ms []message, upTo uint64) *view {
	v := &view{lines: make(map[string][]entry)}
	for _, m := range ms {
		v.apply(m)
	}
	v.upTo = max(v.upTo, upTo)
	return v
}

// apply takes the next message, and reports whether the claims differ from before. Messages come in their order; what is
// older than the view is passed over.
func (v *view) apply(m message) (changed bool) {
	if m.seq <= v.upTo {
		return false
	}
	v.upTo = m.seq
	line, _ := cutKey(m.key)
	es := v.lines[line]
	i := slices.IndexFunc(es, func(e entry) bool { return e.key == m.key })
	if m.marker {
		if i < 0 {
			return false
		}
		if v.lines[line] = slices.Delete(es, i, i+1); len(es) == 1 {
			delete(v.lines, line)
		}
		return true
	}
	e := newEntry(m)
	if i >= 0 && es[i].order == e.order {
		changed = es[i].weight != e.weight || es[i].capacity != e.capacity || string(es[i].value) != string(e.value) ||
			(es[i].err == nil) != (e.err == nil)
		es[i] = e
		return changed
	}
	if i >= 0 {
		es = slices.Delete(es, i, i+1)
	}
	i, _ = slices.BinarySearchFunc(es, e.order, func(e entry, order uint64) int { return cmp.Compare(e.order, order) })
	v.lines[line] = slices.Insert(es, i, e)
	return true
}

func newEntry(m message) entry {
	e := entry{key: m.key, seq: m.seq}
	if _, id := cutKey(m.key); !alphanumericOnly(id) {
		e.err = corrupt("key", m.key)
	}
	if e.err == nil {
		e.record, e.err = m.record()
	}
	if e.err != nil {
		e.order = m.seq
	}
	return e
}

// standing is where a claim stands in a view.
type standing int

const (
	absent  standing = iota // not shown
	waiting                 // shown, and not among the holders
	holding
)

// stands returns where the claim with the key stands. An error says that its line holds something that is no claim.
func (v *view) stands(key string) (standing, error) {
	line, _ := cutKey(key)
	es := v.lines[line]
	i := slices.IndexFunc(es, func(e entry) bool { return e.key == key })
	if i < 0 {
		return absent, nil
	}
	n, err := fits(es)
	switch {
	case err != nil:
		return absent, err
	case i < n:
		return holding, nil
	}
	return waiting, nil
}

// standings returns where claims of one line stand. There is none beside what is no claim.
func (v *view) standings(of map[*claim]func(lock.State)) map[*claim]standing {
	all := make(map[*claim]standing, len(of))
	places, holds := map[string]int(nil), 0
	for o := range of {
		if places == nil {
			es := v.lines[o.line]
			n, err := fits(es)
			if err != nil {
				return nil
			}
			places, holds = make(map[string]int, len(es)), n
			for i, e := range es {
				places[e.key] = i
			}
		}
		switch i, ok := places[o.key]; {
		case !ok:
			all[o] = absent
		case i < holds:
			all[o] = holding
		default:
			all[o] = waiting
		}
	}
	return all
}

// fits returns how many of a line hold.
func fits(es []entry) (int, error) {
	line := make([]lock.Claim, len(es))
	for i, e := range es {
		if e.err != nil {
			return 0, e.err
		}
		line[i] = lock.Claim{Weight: e.weight, Capacity: e.capacity}
	}
	return lock.Fits(line), nil
}

// admits reports whether one more claim could hold at once.
func (v *view) admits(line string, c lock.Claim) (bool, error) {
	es := append(slices.Clip(v.lines[line]), entry{record: record{weight: c.Weight, capacity: c.Capacity}})
	n, err := fits(es)
	return n == len(es), err
}

// holders returns all holders; the lines must be those of one directory.
func (v *view) holders() ([]lock.Holder, error) {
	hs := []lock.Holder{}
	for line, es := range v.lines {
		n, err := fits(es)
		if err != nil {
			return nil, err
		}
		name, ok := nameOf(line)
		if !ok {
			return nil, corrupt("key", line)
		}
		for _, e := range es[:n] {
			_, id := cutKey(e.key)
			hs = append(hs, lock.Holder{Name: name, ID: id, Token: lock.Token(e.order), Weight: e.weight, Value: e.value})
		}
	}
	return hs, nil
}
