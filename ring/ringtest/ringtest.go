// Package ringtest measures and checks placements of keys on nodes: concord's, another library's, or your own.
//
//	func TestPlacement(t *testing.T) {
//		ringtest.Run(t, ringtest.Of(&ring.Options{Placement: ring.VNodes(512)}), &ringtest.Options{Max: 1.15})
//	}
package ringtest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concordkit/concord/ring"
)

// Options say what a placement has to keep. A nil *Options means the defaults.
type Options struct {
	// Nodes is how many nodes there are before one joins or leaves. It defaults to 10.
	Nodes int
	// Keys is how many keys are looked up. It defaults to 100,000.
	Keys int
	// Max bounds the fullest node, relative to its share. It defaults to 1.25.
	Max float64
	// Moved bounds what a join or a leave moves, relative to the least possible. It defaults to 1.25.
	Moved float64
	// Astray bounds the part of all keys that move between two nodes that stay. It defaults to 0: none.
	Astray float64
}

// Run fails t for each promise that place breaks; see [Check].
func Run(t *testing.T, place Placement, o *Options) {
	t.Helper()
	require.NoError(t, Check(place, o))
}

// Check returns an error that tells which of these promises place breaks, or nil:
//
//   - every key has an owner, which is one of the nodes;
//   - the same nodes, in any order, own the same keys, also where the names of nodes followed by numbers collide;
//   - no node has much more than its share;
//   - a node that joins or leaves moves little more than its share, and few or no keys move between those that stay.
func Check(place Placement, o *Options) error {
	c := checker{place: place}
	if o != nil {
		c.Options = *o
	}
	c.Nodes = cmp.Or(c.Nodes, 10)
	c.Keys = cmp.Or(c.Keys, 100_000)
	c.Max = cmp.Or(c.Max, 1.25)
	c.Moved = cmp.Or(c.Moved, 1.25)
	nodes := Nodes(c.Nodes + 1)
	return errors.Join(
		c.owners(nodes),
		c.order(nodes),
		// "1" + "11.1.1.1:80" is "11" + "1.1.1.1:80".
		c.order([]ring.Node{{ID: "1.1.1.1:80"}, {ID: "11.1.1.1:80"}, {ID: "111.1.1.1:80"}}),
		c.balance(nodes),
		c.movement("join", nodes[:c.Nodes], nodes),
		c.movement("leave", nodes, slices.Delete(slices.Clone(nodes), 1, 2)),
	)
}

type checker struct {
	Options
	place Placement
}

func (c *checker) owners(nodes []ring.Node) error {
	for _, some := range [][]ring.Node{nodes[:1], nodes} {
		owner, err := c.place(some)
		if err != nil {
			return err
		}
		for i := range c.Keys {
			id := owner(Key(i))
			if !slices.ContainsFunc(some, func(n ring.Node) bool { return n.ID == id }) {
				return fmt.Errorf("key %q has the owner %q, which is none of the %d nodes", Key(i), id, len(some))
			}
		}
	}
	return nil
}

// order places the nodes again, as they are and in other orders.
func (c *checker) order(nodes []ring.Node) error {
	owner, err := c.place(nodes)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	shuffled := slices.Clone(nodes)
	for try := range 4 {
		again, err := c.place(shuffled)
		if err != nil {
			return err
		}
		for i := range c.Keys {
			if a, b := owner(Key(i)), again(Key(i)); a != b {
				return fmt.Errorf("key %q of %d nodes belongs to %q, and to %q in order %d", Key(i), len(nodes), a, b, try)
			}
		}
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	}
	return nil
}

func (c *checker) balance(nodes []ring.Node) error {
	b, err := MeasureBalance(c.place, nodes, c.Keys)
	if err != nil {
		return err
	}
	if !(b.Max <= c.Max) {
		return fmt.Errorf("the fullest of %d nodes has %.3f times its share: want at most %v", len(nodes), b.Max, c.Max)
	}
	return nil
}

func (c *checker) movement(what string, before, after []ring.Node) error {
	m, err := MeasureMovement(c.place, before, after, c.Keys)
	if err != nil {
		return err
	}
	var errs []error
	if !(m.Moved <= c.Moved*m.Least) {
		errs = append(errs, fmt.Errorf("%s: %.4f of the keys move, %.2f times the least possible: want at most %v",
			what, m.Moved, m.Moved/m.Least, c.Moved))
	}
	if !(m.Astray <= c.Astray) {
		errs = append(errs, fmt.Errorf("%s: %.4f of the keys move between nodes that stay: want at most %v",
			what, m.Astray, c.Astray))
	}
	return errors.Join(errs...)
}
