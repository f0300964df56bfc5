package rings

import (
	"fmt"

	"github.com/concordkit/concord/ring"
)

const keys = 100_000

// movement is which parts of the keys have another owner after a change.
type movement struct {
	moved  float64
	astray float64 // though neither owner came, went or changed
}

// measure looks up all keys before and after a change.
func measure(c ring.Change, before, after func(key string) (id string, ok bool)) movement {
	touched := map[string]bool{}
	for _, nodes := range [][]ring.Node{c.Added, c.Removed, c.Changed} {
		for _, n := range nodes {
			touched[n.ID] = true
		}
	}
	moved, astray := 0, 0
	for i := range keys {
		key := fmt.Sprintf("user:%d", i)
		from, _ := before(key)
		to, _ := after(key)
		if from == to {
			continue
		}
		moved++
		if !touched[from] && !touched[to] {
			astray++
		}
	}
	return movement{float64(moved) / keys, float64(astray) / keys}
}

// ideal returns which part has to move if every node has exactly its share by weight: what the nodes gain that gain. A real
// placement has shares that are a little off, and moves what belongs to those.
func ideal(c ring.Change) float64 {
	had, sum := shares(c.Old), 0.0
	for id, share := range shares(c.New) {
		sum += max(0, share-had[id])
	}
	return sum
}

func shares(v *ring.View) map[string]float64 {
	share, total := map[string]float64{}, 0.0
	for _, n := range v.Nodes() {
		if n.State == ring.Active {
			share[n.ID] = n.Weight
			total += n.Weight
		}
	}
	for id := range share {
		share[id] /= total
	}
	return share
}
