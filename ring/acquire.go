package ring

import (
	"math"
	"sync/atomic"
)

// load counts what is in flight on a node, over all views that have it. The lowest bit of the word says whether the node is
// active, so that each step is one atomic operation that also tells whether it counts in the ring's total; what is in flight
// on a node that is gone must not raise the others' limits.
type load struct{ word atomic.Int64 }

const (
	counted = 1
	one     = 2
)

// account is a node's load and its part of the total, which its weight over the view's is.
type account struct {
	load   *load
	weight float64 // times the bound
}

// account gives the nodes of v their loads, and takes from the total what is on nodes that are no longer active. The
// caller holds r.mu.
func (r *Ring) account(v *View) {
	v.accounts = make([]account, len(v.nodes))
	loads := make(map[string]*load, len(v.nodes))
	for i, n := range v.nodes {
		l := r.loads[n.ID]
		if l == nil {
			l = new(load)
		}
		loads[n.ID] = l
		v.accounts[i].load = l
		if n.State == Active {
			v.weight += n.Weight
			v.accounts[i].weight = r.bound * n.Weight
			if old := l.word.Or(counted); old&counted == 0 {
				r.total.Add(old / one)
			}
		} else {
			r.retire(l)
		}
	}
	for id, l := range r.loads {
		if loads[id] == nil {
			r.retire(l)
		}
	}
	r.loads = loads
}

func (r *Ring) retire(l *load) {
	if old := l.word.And(^counted); old&counted != 0 {
		r.total.Add(-(old / one))
	}
}

// add changes the load by d and returns it.
func (r *Ring) add(l *load, d int64) int64 {
	w := l.word.Add(d * one)
	if w&counted != 0 {
		r.total.Add(d)
	}
	return w / one
}

// Acquire returns the first node in the order of [Ring.Replicas] that has room, and counts a request on it until release is
// called; consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2018). A node has room if with the new
// request it has at most Options.Bound times its share of all requests in flight, by weight, rounded up. So a hot key
// spreads over as many nodes as it needs, in the same order each time, and a ring without load gives the owner.
//
// While several goroutines are in Acquire at once, a node may get one more for each of them. Call release once the request is
// done; more calls do nothing. ok is false when no node is active; release may be called then too.
func (r *Ring) Acquire(key string) (node Node, release func(), ok bool) {
	v := r.View()
	if v.table == nil {
		return Node{}, func() {}, false
	}
	h := v.Hash(key)
	i := v.table.at(h)
	if !r.fits(v, i) {
		i = r.overflow(v, h)
	}
	l := v.accounts[i].load
	var done atomic.Bool
	return v.nodes[i], func() {
		if !done.Swap(true) {
			r.add(l, -1)
		}
	}, true
}

// fits counts a request on the node with that index if it has room. Without a quotient it is exact for whole weights.
func (r *Ring) fits(v *View, i int) bool {
	a := v.accounts[i]
	total := r.total.Load() + 1
	if float64(r.add(a.load, 1)-1)*v.weight < a.weight*float64(total) {
		return true
	}
	r.add(a.load, -1)
	return false
}

// overflow finds a node with room, and counts a request on it. Most often one of the next few has some, and all in their order
// would be work for nothing.
func (r *Ring) overflow(v *View, h uint64) int {
	found, tried := -1, 1
	for want := maxRanks; found < 0 && tried < v.active; want *= 4 {
		seen := 0
		v.replicas(h, want, func(node uint16) {
			if seen++; found < 0 && seen > tried && r.fits(v, int(node)) {
				found = int(node)
			}
		})
		tried = seen
	}
	if found < 0 { // others that were only trying stood on the nodes with room
		found = r.least(v)
		r.add(v.accounts[found].load, 1)
	}
	return found
}

// least returns the node that has the least for its weight.
func (r *Ring) least(v *View) int {
	least, at := math.Inf(1), 0
	for i, a := range v.accounts {
		if a.weight == 0 {
			continue
		}
		if full := float64(a.load.word.Load()/one+1) / a.weight; full < least {
			least, at = full, i
		}
	}
	return at
}

// InFlight returns how many requests are counted on the member with that ID.
func (r *Ring) InFlight(id string) int {
	v := r.View()
	i, ok := find(v.nodes, id)
	if !ok {
		return 0
	}
	return int(v.accounts[i].load.word.Load() / one)
}
