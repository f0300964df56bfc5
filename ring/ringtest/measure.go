package ringtest

import (
	"cmp"
	"fmt"
	"math"
	"strconv"

	"github.com/concordkit/concord/ring"
)

// Placement is a rule of anyone's. Given nodes it returns what finds the ID of a key's owner.
type Placement func(nodes []ring.Node) (func(key string) (id string), error)

// Of returns the placement of rings with those options.
func Of(o *ring.Options) Placement {
	return func(nodes []ring.Node) (func(string) string, error) {
		r, err := ring.New(nodes, o)
		if err != nil {
			return nil, err
		}
		v := r.View()
		return func(key string) string {
			id, _ := v.LookupID(key)
			return id
		}, nil
	}
}

// Nodes returns n nodes of weight 1 with the IDs of servers: "10.0.0.1:6379", "10.0.0.2:6379" and so on.
func Nodes(n int) []ring.Node {
	nodes := make([]ring.Node, n)
	for i := range nodes {
		nodes[i].ID = fmt.Sprintf("10.0.%d.%d:6379", i/250, i%250+1)
	}
	return nodes
}

// Key returns one of the keys that the measures look up.
func Key(i int) string { return "user:" + strconv.Itoa(i) }

// Balance is how the keys of the active nodes relate to their shares by weight; 1 is exactly the share. Of n keys on m
// nodes even a perfect placement has a deviation of about the root of m/n.
type Balance struct {
	Max, Min, Deviation float64
}

// MeasureBalance looks up that many keys.
func MeasureBalance(place Placement, nodes []ring.Node, keys int) (Balance, error) {
	owner, err := place(nodes)
	if err != nil {
		return Balance{}, err
	}
	counts := map[string]int{}
	for i := range keys {
		counts[owner(Key(i))]++
	}
	parts := shares(nodes)
	b := Balance{Max: math.Inf(-1), Min: math.Inf(1)}
	var squares float64
	for id, part := range parts {
		load := float64(counts[id]) / float64(keys) / part
		b.Max, b.Min = max(b.Max, load), min(b.Min, load)
		squares += (load - 1) * (load - 1)
	}
	b.Deviation = math.Sqrt(squares / float64(len(parts)))
	return b, nil
}

// Movement is which parts of all keys a change moves.
type Movement struct {
	// Moved have another owner, and Least is how many must have one: what nodes that grow gain of the share by weight.
	Moved, Least float64
	// Astray moved although neither owner joined, left or changed its weight or state.
	Astray float64
}

// MeasureMovement looks up that many keys before and after.
func MeasureMovement(place Placement, before, after []ring.Node, keys int) (Movement, error) {
	old, err := place(before)
	if err != nil {
		return Movement{}, err
	}
	now, err := place(after)
	if err != nil {
		return Movement{}, err
	}
	was, is := weights(before), weights(after)
	moved, astray := 0, 0
	for i := range keys {
		a, b := old(Key(i)), now(Key(i))
		if a == b {
			continue
		}
		moved++
		if was[a] == is[a] && was[b] == is[b] {
			astray++
		}
	}
	m := Movement{Moved: float64(moved) / float64(keys), Astray: float64(astray) / float64(keys)}
	had := shares(before)
	for id, part := range shares(after) {
		m.Least += max(0, part-had[id])
	}
	return m, nil
}

// weights returns the weights of the nodes that can own keys.
func weights(nodes []ring.Node) map[string]float64 {
	m := make(map[string]float64, len(nodes))
	for _, n := range nodes {
		if n.State == ring.Active {
			m[n.ID] = cmp.Or(n.Weight, 1)
		}
	}
	return m
}

// shares returns which part of the keys each of them should own.
func shares(nodes []ring.Node) map[string]float64 {
	m := weights(nodes)
	var total float64
	for _, w := range m {
		total += w
	}
	for id := range m {
		m[id] /= total
	}
	return m
}
