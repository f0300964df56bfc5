package ringbench

import (
	"fmt"
	"sync/atomic"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
	"github.com/concordkit/concord/ring/ringtest"
)

// finder is a set of nodes in which one library finds owners.
type finder interface {
	owner(key string) (id string)
	// lookups calls owner for n keys, from one on. Each finder has a loop of its own, the same for all: a call through a func or an
	// interface would cost as much as a fast lookup.
	lookups(from, n int)
}

// library makes finders.
type library struct {
	name string
	open func(ids []string) (finder, error)
}

// placement makes l measurable by ringtest, which looks at no weights here.
func (l library) placement() ringtest.Placement {
	return func(nodes []ring.Node) (func(string) string, error) {
		f, err := l.open(idsOf(nodes))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		return f.owner, nil
	}
}

func idsOf(nodes []ring.Node) []string {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.ID
	}
	return ids
}

func nodesOf(ids []string) []ring.Node {
	nodes := make([]ring.Node, len(ids))
	for i, id := range ids {
		nodes[i].ID = id
	}
	return nodes
}

// servers returns n IDs.
func servers(n int) []string { return idsOf(ringtest.Nodes(n)) }

// keyCount is a power of two, so that a loop goes round by a mask.
const keyCount = 1 << 14

// keys are what the loops look up, different ones of 20 bytes.
var keys = func() *[keyCount]string {
	var a [keyCount]string
	for i := range a {
		a[i] = fmt.Sprintf("user:%015d", i*7919)
	}
	return &a
}()

// key returns the i-th key of a loop, which goes round in another order each time: a processor that meets 16,000 keys in
// the same order learns which branches a peer takes for each, and go-jump then takes half the time.
func key(i int) string {
	u := uint(i)
	return keys[(u^u/keyCount*scatter)%keyCount]
}

// scatter is 2^16 divided by the golden ratio.
const scatter = 40503

// loop makes an Op of the lookups.
func loop(f finder) ratio.Op {
	return func(n int) error {
		f.lookups(0, n)
		return nil
	}
}

// sink keeps the compiler from dropping what nobody reads.
var sink atomic.Int64
