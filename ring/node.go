package ring

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Limits of a ring and of its nodes.
const (
	// MaxNodes is how many members a ring can have.
	MaxNodes = 1<<16 - 1
	// MaxName is the longest ID and the longest Zone in bytes.
	MaxName = 256
	// MinWeight is the smallest Weight.
	MinWeight = 0.001
	// MaxWeight is the largest Weight.
	MaxWeight = 10_000
)

// Node is a member of a ring.
type Node struct {
	// ID is what the node is placed by: any UTF-8 of 1 to MaxName bytes that stays with the node when its address changes.
	ID string
	// Addr is where the node is reached. The ring does not look at it.
	Addr string
	// Zone is where the node stands: a rack, a room, a region. Replicas of a key are in different zones as long as there are
	// any. Nodes without one stand in one zone together. It has at most MaxName bytes of UTF-8.
	Zone string
	// Weight is the node's share of the keys relative to the others'. It is MinWeight to MaxWeight; 0 means 1. Ketama takes
	// whole numbers only.
	Weight float64
	// State says whether the node gets keys. The zero value is Active.
	State State
	// Meta is for the caller. The ring keeps a copy: leave the one in nodes that it returns unchanged.
	Meta map[string]string
}

// State says what a member is doing. Only an Active one owns keys; the others are members that lookups pass over, so that
// everyone can see who comes, who goes and who is expected back.
type State uint8

const (
	// Active nodes own keys.
	Active State = iota
	// Joining nodes prepare: they own nothing yet.
	Joining
	// Leaving nodes finish what they were asked before, and answer those whose view is older: they own nothing any more.
	Leaving
	// Down nodes are expected back. Their keys are with the others until then.
	Down
)

// String returns the name of s in lower case.
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Joining:
		return "joining"
	case Leaving:
		return "leaving"
	case Down:
		return "down"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns the name of s. It fails for a state that is none.
func (s State) MarshalText() ([]byte, error) {
	if s > Down {
		return nil, fmt.Errorf("%w: state %d: want 0 to %d", ErrInvalid, uint8(s), uint8(Down))
	}
	return []byte(s.String()), nil
}

// UnmarshalText sets s to the state of that name.
func (s *State) UnmarshalText(text []byte) error {
	for known := Active; known <= Down; known++ {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("%w: state %.40q: want active, joining, leaving or down", ErrInvalid, text)
}

func (n Node) equal(o Node) bool {
	return n.ID == o.ID && n.Addr == o.Addr && n.Zone == o.Zone && n.Weight == o.Weight && n.State == o.State &&
		maps.Equal(n.Meta, o.Meta)
}

// Check returns an error that wraps [ErrInvalid] and says what keeps n from being a member of a ring, or nil. A placement may
// ask for more.
func (n Node) Check() error {
	switch {
	case n.ID == "":
		return fmt.Errorf("%w: node at %.40q has no ID", ErrInvalid, n.Addr)
	case len(n.ID) > MaxName:
		return fmt.Errorf("%w: ID %.40q… has %d bytes: want at most %d", ErrInvalid, n.ID, len(n.ID), MaxName)
	case !utf8.ValidString(n.ID):
		return fmt.Errorf("%w: ID %.40q is not UTF-8", ErrInvalid, n.ID)
	case len(n.Zone) > MaxName:
		return fmt.Errorf("%w: zone of node %.40q has %d bytes: want at most %d", ErrInvalid, n.ID, len(n.Zone), MaxName)
	case !utf8.ValidString(n.Zone):
		return fmt.Errorf("%w: zone %.40q of node %.40q is not UTF-8", ErrInvalid, n.Zone, n.ID)
	case n.Weight != 0 && !(n.Weight >= MinWeight && n.Weight <= MaxWeight): // NaN is neither
		return fmt.Errorf("%w: weight %v of node %.40q: want %v to %v; only the relation of weights counts",
			ErrInvalid, n.Weight, n.ID, MinWeight, MaxWeight)
	case n.State > Down:
		return fmt.Errorf("%w: state %d of node %.40q: want 0 to %d", ErrInvalid, uint8(n.State), n.ID, uint8(Down))
	}
	return nil
}

// owned returns a copy of a caller's nodes.
func owned(nodes []Node) []Node {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].Meta = maps.Clone(nodes[i].Meta)
	}
	return nodes
}

// normalize returns a checked copy of nodes, sorted by ID and with weights filled in.
func normalize(nodes []Node) ([]Node, error) {
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("%w: %d nodes: want at most %d", ErrInvalid, len(nodes), MaxNodes)
	}
	sorted := slices.Clone(nodes)
	for i := range sorted {
		n := &sorted[i]
		if err := n.Check(); err != nil {
			return nil, err
		}
		if n.Weight == 0 {
			n.Weight = 1
		}
	}
	slices.SortFunc(sorted, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].ID == sorted[i].ID {
			return nil, fmt.Errorf("%w: two nodes have the ID %.40q", ErrInvalid, sorted[i].ID)
		}
	}
	return sorted, nil
}

// find returns the index of the node with that ID in nodes, which are sorted by ID.
func find(sorted []Node, id string) (int, bool) {
	return slices.BinarySearchFunc(sorted, id, func(n Node, id string) int { return cmp.Compare(n.ID, id) })
}

// translate returns for each index of old the index of the node with that ID in new, or -1. Both are sorted by ID.
func translate(old, new []Node) []int {
	to := make([]int, len(old))
	j := 0
	for i := range old {
		for j < len(new) && new[j].ID < old[i].ID {
			j++
		}
		to[i] = -1
		if j < len(new) && new[j].ID == old[i].ID {
			to[i] = j
		}
	}
	return to
}
