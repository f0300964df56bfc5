package rings

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/concordkit/concord/ring"
)

// told adds a node and reads from the change who has to send what to whom. Whoever does not make the changes gets the same
// from [ring.Ring.Watch].
func told(out io.Writer) error {
	nodes := cluster()
	r, err := ring.New(nodes[:4], nil)
	if err != nil {
		return err
	}
	c, err := r.Add(nodes[4])
	if err != nil {
		return err
	}
	ranges := 0
	parts := map[string]float64{}
	for m := range c.Moves() { // a node that moves data asks its store for the keys whose hash is Lo to Hi
		ranges++
		parts[m.From+" to "+m.To] += part(m)
	}
	fmt.Fprintf(out, "  version %d: %s joins, %d ranges of hashes move\n", c.Version, c.Added[0].ID, ranges)
	for _, pair := range slices.Sorted(maps.Keys(parts)) {
		fmt.Fprintf(out, "  %s: %s of all hashes\n", pair, percent(parts[pair]))
	}
	return nil
}

// part returns which part of all hashes a move has. Both ends belong to it.
func part(m ring.Move) float64 { return (float64(m.Hi-m.Lo) + 1) / (1 << 64) }
