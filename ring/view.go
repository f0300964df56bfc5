package ring

import (
	"encoding/binary"
	"iter"
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
	zones       int // of the active nodes
	accounts    []account
	replaced    chan struct{} // closed when the ring has a newer view; nil in a view that is of no ring
}

// with returns the view that follows v when nodes are the members.
func (v *View) with(nodes []Node) (*View, error) {
	nodes, err := normalize(nodes)
	if err != nil {
		return nil, err
	}
	w := &View{place: v.place, version: v.version + 1, nodes: nodes, replaced: make(chan struct{})}
	w.fingerprint = w.print()
	w.findZones()
	for _, n := range nodes {
		if n.State == Active {
			w.active++
		}
	}
	if v.table != nil && w.fingerprint == v.fingerprint && slices.EqualFunc(v.nodes, nodes, sameID) {
		w.table = v.table
		return w, nil
	}
	w.table, err = w.place.build(nodes, v)
	return w, err
}

func sameID(a, b Node) bool { return a.ID == b.ID }

// emptied returns a view without nodes, of the same placement.
func (v *View) emptied() *View { return &View{place: v.place} }

// placementVersion changes if a release ever places keys in another way.
const placementVersion = 1

// print returns the fingerprint.
func (v *View) print() uint64 {
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

// Hash returns where key stands in the space of hashes that the nodes share: its 64-bit xxHash, with Ketama the first four bytes
// of its MD5 as the upper half.
func (v *View) Hash(key string) uint64 { return v.place.hash(key) }

// Lookup returns the owner of key. It is false when no node is active.
func (v *View) Lookup(key string) (Node, bool) { return v.owner(v.Hash(key)).found() }

// LookupBytes returns the owner of key, the same as of Lookup(string(key)).
func (v *View) LookupBytes(key []byte) (Node, bool) { return v.owner(v.place.hashBytes(key)).found() }

// LookupHash returns the owner of the keys whose Hash is h.
func (v *View) LookupHash(h uint64) (Node, bool) { return v.owner(h).found() }

// LookupID returns the ID of the owner of key.
func (v *View) LookupID(key string) (string, bool) { return v.owner(v.Hash(key)).id() }

// owner returns the node that owns h, or nil.
func (v *View) owner(h uint64) *Node {
	if v.table == nil {
		return nil
	}
	return &v.nodes[v.table.at(h)]
}

// found copies n, once, for a caller.
func (n *Node) found() (Node, bool) {
	if n == nil {
		return Node{}, false
	}
	return *n, true
}

func (n *Node) id() (string, bool) {
	if n == nil {
		return "", false
	}
	return n.ID, true
}

// Replicas yields up to n nodes for key, all different, the owner first: first one node of each zone, then the others. It
// yields what there is if n is more, and nothing if n is less than 1.
//
// The order of preference is that of the scores or of the points after the key's. When a node joins or leaves, the others keep their
// order. If the owner goes, the next in that order owns the key; with zones that need not be the second replica, which
// is of another zone. Zones share the replicas equally as long as n is at most their number: a zone of few nodes makes each
// of them hold more than those of larger zones.
func (v *View) Replicas(key string, n int) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, node := range v.AppendReplicas(nil, key, n) {
			if !yield(node) {
				return
			}
		}
	}
}

// AppendReplicas appends to dst what Replicas yields. If dst has room it allocates nothing but, once for each view on Slots, a
// cache of the first 4 of each slot, which takes 8 bytes for each.
func (v *View) AppendReplicas(dst []Node, key string, n int) []Node {
	v.replicas(v.Hash(key), n, func(node uint16) { dst = append(dst, v.nodes[node]) })
	return dst
}

// replicas calls yield for the indexes of up to n nodes for h.
func (v *View) replicas(h uint64, n int, yield func(node uint16)) {
	if v.table == nil || n < 1 {
		return
	}
	if t, ok := v.table.(*slotTable); ok && n <= maxRanks {
		for w := t.rank(h, v); w != 0 && n > 0; w >>= rankBits {
			yield(uint16(w - 1))
			n--
		}
		return
	}
	p := pick(v, h, n)
	for _, node := range p.picked {
		yield(node)
	}
	p.done()
}
