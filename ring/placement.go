package ring

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// Placement is a rule by which keys are placed. The zero value is Slots(16).
type Placement struct {
	kind kind
	n    int
	cap  float64
}

type kind uint8

const (
	slots kind = iota + 1
	vnodes
	ketama
)

const (
	defaultBits = 16
	maxBits     = 20
	maxVNodes   = 10_000
	maxPoints   = 1 << 24
	maxLoad     = 1000
)

// Slots returns the placement on 2^bits slots, bits being 1 to 20. A node's share varies by about the root of
// nodes/2^bits: with the default of 16 by 1 % for 10 nodes, 4 % for 100 and 12 % for 1000, and a node may get none where there
// are about as many nodes as slots.
//
// The table takes two bytes for each slot. A new ring takes time in proportion to slots times nodes, 0.2 s for 1000 on 16
// bits; a change to slots times nodes that join, and a leaver's slots times nodes: under a millisecond for one.
func Slots(bits int) Placement { return Placement{kind: slots, n: bits} }

// VNodes returns the placement on a circle, with n points for a node of weight 1 and in proportion for others, at least
// one, so a node gets more than its share where n times its weight is below 1; n is 1 to 10,000. A node's share varies by about
// 1/sqrt(n), by 8 % for 160. A ring takes at most 2^24 points.
func VNodes(n int) Placement { return Placement{kind: vnodes, n: n} }

// Ketama returns the placement of libmemcached's weighted ketama and of what is compatible with it: MD5, 160 points for
// a node of average weight, named "ID-0", "ID-1" and so on. So a server's ID is "host:port", and "host" alone for port
// 11211. Use it where others have placed the data. Points are in proportion to the sum of weights, so a change of
// weight, and with weights also a join or a leave, moves some keys between other nodes. So does the rounding of the rule with
// equal weights: a tenth of all sizes give each node 156 points, and a step there or back moves 2 % of the keys besides. A node
// of less than about a fortieth of the average weight has no points: it owns nothing and is the last of all replicas.
func Ketama() Placement { return Placement{kind: ketama} }

// MaxLoad returns p with a limit: no node gets more slots than c times its share by weight, rounded down, or its share
// rounded up where that is more; c is 1 to 1000, and 0 is no limit. Slots that a full node would have won go to the next in
// their order of preference, where the better score wins, a stable matching (Gale and Shapley 1962), which is why the order
// of events still does not matter. A change then moves some slots between other nodes: of 1000 nodes, at 1.1 a join moves
// 1.4 times what it must, at 1.01 2.5 times; and it takes about 10 and 50 ms. Only Slots can be limited.
//
// It limits shares of the space of hashes; to limit requests at a time use [Ring.Acquire].
func (p Placement) MaxLoad(c float64) Placement {
	p = p.orDefault()
	p.cap = c
	return p
}

// String returns p as one would write it, such as "Slots(16).MaxLoad(1.1)".
func (p Placement) String() string {
	p = p.orDefault()
	s := "Ketama()"
	switch p.kind {
	case slots:
		s = fmt.Sprintf("Slots(%d)", p.n)
	case vnodes:
		s = fmt.Sprintf("VNodes(%d)", p.n)
	}
	if p.cap != 0 {
		s += fmt.Sprintf(".MaxLoad(%v)", p.cap)
	}
	return s
}

func (p Placement) orDefault() Placement {
	if p.kind == 0 {
		p.kind, p.n = slots, defaultBits
	}
	return p
}

func (p Placement) check() error {
	switch {
	case p.kind == slots && (p.n < 1 || p.n > maxBits):
		return fmt.Errorf("%w: %v: want 1 to %d bits", ErrInvalid, p, maxBits)
	case p.kind == vnodes && (p.n < 1 || p.n > maxVNodes):
		return fmt.Errorf("%w: %v: want 1 to %d points", ErrInvalid, p, maxVNodes)
	case p.cap != 0 && p.kind != slots:
		return fmt.Errorf("%w: %v: only Slots can be limited", ErrInvalid, p)
	case p.cap != 0 && !(p.cap >= 1 && p.cap <= maxLoad):
		return fmt.Errorf("%w: %v: want a limit of 1 to %d times the share", ErrInvalid, p, maxLoad)
	}
	return nil
}

// takes checks what p asks of nodes, in whatever state: a node that joins must be able to become active.
func (p Placement) takes(nodes []Node) error {
	for _, n := range nodes {
		if p.kind == ketama && n.Weight != math.Trunc(n.Weight) {
			return fmt.Errorf("%w: weight %v of node %.40q: Ketama takes whole numbers only", ErrInvalid, n.Weight, n.ID)
		}
	}
	return nil
}

// hash returns where key stands in the space that p places.
func (p Placement) hash(key string) uint64 {
	if p.kind == ketama {
		// A conversion would allocate for long keys; MD5 only reads.
		return ketamaHash(unsafe.Slice(unsafe.StringData(key), len(key)))
	}
	return xxhash.Sum64String(key)
}

func (p Placement) hashBytes(key []byte) uint64 {
	if p.kind == ketama {
		return ketamaHash(key)
	}
	return xxhash.Sum64(key)
}

// table is a finished placement. It never changes.
type table interface {
	// at returns the index of the node that owns h.
	at(h uint64) int
	// prefer offers nodes to p in the order of preference for h, until it has enough.
	prefer(h uint64, p *picker)
	// segment returns the last hash of a segment of the space of hashes, which are numbered from 0 and may be empty, and its
	// owner. The last one ends at the largest hash.
	segment(i int) (end uint64, node int)
}

// build places the active ones of nodes. It may start from prev, which places other nodes by the same rule, and
// must arrive at the same as without. It returns nil if no node is active.
func (p Placement) build(nodes []Node, prev *View) (table, error) {
	members := activeOf(nodes)
	if len(members) == 0 {
		return nil, nil
	}
	switch p.kind {
	case slots:
		return buildSlots(p, nodes, members, prev), nil
	case vnodes:
		return buildVNodes(p.n, nodes, members, prev)
	}
	return buildKetama(nodes, members), nil
}

// member is an active node as placements see it.
type member struct {
	index  int    // among the nodes of the view
	hash   uint64 // of the ID
	weight uint64 // fixed
}

func activeOf(nodes []Node) []member {
	members := make([]member, 0, len(nodes))
	for i, n := range nodes {
		if n.State == Active {
			members = append(members, member{i, xxhash.Sum64String(n.ID), fixed(n.Weight)})
		}
	}
	return members
}
