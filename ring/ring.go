// Package ring places keys on nodes: every process that knows the same nodes finds the same owner of a key, and when the
// nodes change, only the keys move that must.
//
//	r, err := ring.New([]ring.Node{{ID: "a", Addr: "10.0.0.1:6379"}, {ID: "b", Addr: "10.0.0.2:6379", Weight: 2}}, nil)
//	if err != nil {
//		return err
//	}
//	node, ok := r.Lookup("user:42") // ok is false while the ring is empty
//	for node := range r.Replicas("user:42", 3) { … } // distinct nodes, in distinct zones while there are any
//
// A [Ring] may be used by any number of goroutines. A lookup reads one immutable [View], takes no lock and allocates
// nothing; a change builds the next View beside it and swaps one pointer.
//
// # Placements
//
// [Slots], the default, cuts the space of hashes into 2^16 slots. Each slot belongs to the node with the best score for it,
// weighted rendezvous hashing (Thaler and Ravishankar 1998, weights as by Schindelhauer and Schomaker 2005), so a lookup
// is a hash and one load, however many nodes there are. [VNodes] gives every node points on a circle (Karger and others
// 1997, as Dynamo does). [Ketama] is the circle of libmemcached, for data that others have placed. [Placement.MaxLoad] caps
// how much of the space a node may get.
//
// With Slots and VNodes a node that joins takes keys from all others and no key moves between those; a node that leaves
// gives its keys to all others and no other key moves; a node whose weight grows only takes, one whose weight shrinks
// only gives. With MaxLoad and Ketama few keys move besides.
//
// # Identity
//
// The placement depends on the ID, the weight and, for replicas, the zone of the nodes that are [Active], and on nothing
// else: not on the order of adds, the history of changes, addresses, the process or its architecture. Keys and IDs are
// hashed by 64-bit xxHash with seed 0, all else is computed in integers (Ketama repeats the float32 steps of libmemcached),
// and golden vectors in the tests pin it: a release that places one key elsewhere is a breaking one. [View.Fingerprint]
// tells whether two views place alike.
package ring

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
)

// ErrInvalid reports bad input. The error that wraps it names the value and the rule; nothing was changed.
var ErrInvalid = errors.New("ring: invalid")

// Options configure New. A nil *Options means the defaults.
type Options struct {
	// Placement says how keys are placed. It defaults to Slots(16).
	Placement Placement
	// Bound limits what Acquire gives to one node: at most Bound times the average, rounded up. It is 1 or more, at most
	// 1000, and defaults to 1.25.
	Bound float64
}

const (
	defaultBound = 1.25
	maxBound     = 1000
)

// Ring is a set of nodes and the placement of keys on them. [New] makes it. Its methods may be called concurrently.
//
// Lookups are those of the present [View], written out: a result that passes through one more call costs as much as the lookup.
type Ring struct {
	place Placement
	bound float64
	view  atomic.Pointer[View]
	mu    sync.Mutex // held while a change is made
	loads map[string]*load
	_     [64]byte     // what Acquire writes stays away from what lookups read
	total atomic.Int64 // in flight on the active nodes
}

// New returns a ring of nodes, which may be none.
func New(nodes []Node, o *Options) (*Ring, error) {
	if o == nil {
		o = new(Options)
	}
	r := &Ring{place: o.Placement.orDefault(), bound: o.Bound, loads: map[string]*load{}}
	if r.bound == 0 {
		r.bound = defaultBound
	}
	if !(r.bound >= 1 && r.bound <= maxBound) {
		return nil, fmt.Errorf("%w: bound %v: want 1 to %v", ErrInvalid, o.Bound, maxBound)
	}
	if err := r.place.check(); err != nil {
		return nil, err
	}
	empty := &View{place: r.place, replaced: make(chan struct{})}
	r.view.Store(empty)
	v, err := empty.with(owned(nodes))
	if err != nil {
		return nil, err
	}
	r.publish(v)
	return r, nil
}

// View returns the present state, which never changes. Take one where several lookups must agree.
func (r *Ring) View() *View { return r.view.Load() }

// Lookup returns the owner of key. It is false when no node is active.
func (r *Ring) Lookup(key string) (n Node, ok bool) {
	v := r.View()
	if owner := v.owner(v.Hash(key)); owner != nil {
		return *owner, true
	}
	return
}

// LookupBytes returns the owner of key, the same as of Lookup(string(key)).
func (r *Ring) LookupBytes(key []byte) (n Node, ok bool) {
	v := r.View()
	if owner := v.owner(v.place.hashBytes(key)); owner != nil {
		return *owner, true
	}
	return
}

// LookupHash returns the owner of the keys whose [View.Hash] is h. It lets callers hash keys that they do not have as one
// string. Ketama has hashes of 32 bits, in the upper half of h.
func (r *Ring) LookupHash(h uint64) (n Node, ok bool) {
	if owner := r.View().owner(h); owner != nil {
		return *owner, true
	}
	return
}

// LookupID returns the ID of the owner of key.
func (r *Ring) LookupID(key string) (id string, ok bool) {
	v := r.View()
	if owner := v.owner(v.Hash(key)); owner != nil {
		return owner.ID, true
	}
	return
}

// Replicas yields up to n nodes for key, in the order of preference; the first one is the owner. See [View.Replicas].
func (r *Ring) Replicas(key string, n int) iter.Seq[Node] { return r.View().Replicas(key, n) }

// AppendReplicas appends to dst what Replicas yields. See [View.AppendReplicas].
func (r *Ring) AppendReplicas(dst []Node, key string, n int) []Node {
	return r.View().AppendReplicas(dst, key, n)
}

// Set makes nodes the members of the ring: it adds, removes and changes what differs, in one step. It is what
// discovery calls.
func (r *Ring) Set(nodes []Node) (Change, error) {
	return r.change(func([]Node) ([]Node, error) { return owned(nodes), nil })
}

// Add adds nodes. It is an error if a member has the ID of one.
func (r *Ring) Add(nodes ...Node) (Change, error) {
	return r.change(func(members []Node) ([]Node, error) {
		for _, n := range nodes {
			if _, ok := find(members, n.ID); ok {
				return nil, fmt.Errorf("%w: node %.40q is a member already", ErrInvalid, n.ID)
			}
		}
		return append(members, owned(nodes)...), nil
	})
}

// Update changes the member with that ID by edit, which may set anything but the ID. It is an error if there is none. If
// others change the ring meanwhile, edit is called again, on the newer state; so it must not change the ring itself.
func (r *Ring) Update(id string, edit func(n *Node)) (Change, error) {
	if edit == nil {
		return Change{}, fmt.Errorf("%w: nil edit of node %.40q", ErrInvalid, id)
	}
	return r.change(func(members []Node) ([]Node, error) {
		i, ok := find(members, id)
		if !ok {
			return nil, fmt.Errorf("%w: node %.40q is not a member", ErrInvalid, id)
		}
		n := &members[i]
		n.Meta = maps.Clone(n.Meta)
		if edit(n); n.ID != id {
			return nil, fmt.Errorf("%w: edit changed the ID %.40q to %.40q: Remove and Add do that", ErrInvalid, id, n.ID)
		}
		return members, nil
	})
}

// Remove removes the members with those IDs. It is an error if one is not there.
func (r *Ring) Remove(ids ...string) (Change, error) {
	return r.change(func(members []Node) ([]Node, error) {
		for _, id := range ids {
			i, ok := find(members, id)
			if !ok {
				return nil, fmt.Errorf("%w: node %.40q is not a member", ErrInvalid, id)
			}
			members = append(members[:i], members[i+1:]...)
		}
		return members, nil
	})
}

// change publishes what edit makes of a copy of the members. It is all or nothing. edit is a caller's, so no lock is held
// while it runs, and it runs again if the ring has changed meanwhile.
func (r *Ring) change(edit func(members []Node) ([]Node, error)) (Change, error) {
	for {
		old := r.View()
		nodes, err := edit(old.Nodes())
		if err != nil {
			return Change{}, err
		}
		if c, current, err := r.replace(old, nodes); current {
			return c, err
		}
	}
}

// replace publishes the view that follows old, if old is still current.
func (r *Ring) replace(old *View, nodes []Node) (c Change, current bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.View() != old {
		return Change{}, false, nil
	}
	v, err := old.with(nodes)
	if err != nil {
		return Change{}, true, err
	}
	if c = changeOf(old, v); c.none() {
		return changeOf(old, old), true, nil
	}
	r.publish(v)
	return c, true, nil
}

// publish makes v the view that lookups read. Its caller holds r.mu, or nobody else has r.
func (r *Ring) publish(v *View) {
	r.account(v)
	old := r.view.Swap(v)
	close(old.replaced)
}
