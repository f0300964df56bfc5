package ring

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// View is a state of a ring. It never changes, and its methods may be called concurrently.
type View struct {
	place       Placement
	version     uint64
	fingerprint uint64
	nodes       []Node // by ID
	active      int    // how many own keys
	table       table  // nil if none does
	zone        []uint16
	zones       int           // of the active nodes
	accounts    []account     // for Acquire; empty in a view that is of no ring
	weight      float64       // of all active nodes, for the accounts
	replaced    chan struct{} // closed when the ring has a newer view
}

// with returns the view that follows v when nodes are the members.
func (v *View) with(nodes []Node) (*View, error) {
	nodes, err := normalize(nodes)
	if err != nil {
		return nil, err
	}
	if err := v.place.takes(nodes); err != nil {
		return nil, err
	}
	w := &View{place: v.place, version: v.version + 1, nodes: nodes, replaced: make(chan struct{})}
	w.fingerprint = w.identify()
	w.findZones()
	for _, n := range nodes {
		if n.State == Active {
			w.active++
		}
	}
	if v.table != nil && slices.EqualFunc(v.nodes, nodes, Node.placedLike) {
		w.table = v.table
		return w, nil
	}
	w.table, err = w.place.build(nodes, v)
	return w, err
}

// placedLike reports whether n and o are the same to a placement.
func (n Node) placedLike(o Node) bool {
	return n.ID == o.ID && n.Weight == o.Weight && n.Zone == o.Zone && (n.State == Active) == (o.State == Active)
}

// emptied returns a view without nodes, of the same placement.
func (v *View) emptied() *View {
	w := &View{place: v.place}
	w.fingerprint = w.identify()
	return w
}

// placementVersion changes if a release ever places keys in another way.
const placementVersion = 1

// identify returns the fingerprint.
func (v *View) identify() uint64 {
	d := xxhash.New()
	var b []byte
	write := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = append(b, placementVersion)
	write(v.place.String())
	for _, n := range v.nodes {
		if n.State == Active {
			write(n.ID)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n.Weight))
			write(n.Zone)
		}
		d.Write(b) // never fails
		b = b[:0]
	}
	d.Write(b)
	return d.Sum64()
}

// findZones numbers the zones of the active nodes.
func (v *View) findZones() {
	numbers := map[string]uint16{}
	v.zone = make([]uint16, len(v.nodes))
	for i, n := range v.nodes {
		if n.State != Active {
			continue
		}
		number, ok := numbers[n.Zone]
		if !ok {
			number = uint16(len(numbers))
			numbers[n.Zone] = number
		}
		v.zone[i] = number
	}
	v.zones = len(numbers)
}

// Version counts the changes of the ring, from 1. It says nothing about the rings of other processes: see Fingerprint.
func (v *View) Version() uint64 { return v.version }

// Fingerprint identifies the placement: two views, of any processes, with the same fingerprint have the same owner and
// replicas for each key. It covers the placement, its version, and the IDs, weights and zones of the active nodes. Send it
// with a request, so that a node whose view is another can tell.
func (v *View) Fingerprint() uint64 { return v.fingerprint }

// Placement returns the rule by which v places keys.
func (v *View) Placement() Placement { return v.place }

// Nodes returns the members in any state, sorted by ID.
func (v *View) Nodes() []Node { return slices.Clone(v.nodes) }

// Node returns the member with that ID.
func (v *View) Node(id string) (Node, bool) {
	i, ok := find(v.nodes, id)
	if !ok {
		return Node{}, false
	}
	return v.nodes[i], true
}

// Hash returns where key stands in the space of hashes that the nodes share: its 64-bit xxHash, with Ketama the first four
// bytes of its MD5 as the upper half.
func (v *View) Hash(key string) uint64 { return v.place.hash(key) }

// Lookup returns the owner of key. It is false when no node is active.
func (v *View) Lookup(key string) (n Node, ok bool) {
	if owner := v.owner(v.Hash(key)); owner != nil {
		return *owner, true
	}
	return
}

// LookupBytes returns the owner of key, the same as of Lookup(string(key)).
func (v *View) LookupBytes(key []byte) (n Node, ok bool) {
	if owner := v.owner(v.place.hashBytes(key)); owner != nil {
		return *owner, true
	}
	return
}

// LookupHash returns the owner of the keys whose Hash is h.
func (v *View) LookupHash(h uint64) (n Node, ok bool) {
	if owner := v.owner(h); owner != nil {
		return *owner, true
	}
	return
}

// LookupID returns the ID of the owner of key.
func (v *View) LookupID(key string) (id string, ok bool) {
	if owner := v.owner(v.Hash(key)); owner != nil {
		return owner.ID, true
	}
	return
}

// owner returns the node that owns h, or nil. Callers copy it to their result at once: a Node is large, and one more copy
// costs as much as the lookup.
func (v *View) owner(h uint64) *Node {
	if v.table == nil {
		return nil
	}
	return &v.nodes[v.table.at(h)]
}
