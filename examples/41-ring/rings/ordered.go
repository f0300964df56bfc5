package rings

import (
	"fmt"
	"io"
	"slices"

	"github.com/concordkit/concord/ring"
)

// asks is how often each ring is asked.
const asks = 1000

// ordered asks two rings, as two processes would have them: the same members, but each has heard of them in its own way.
func ordered(out io.Writer) error {
	one, err := ring.New(cluster(), nil)
	if err != nil {
		return err
	}
	other, err := detour()
	if err != nil {
		return err
	}
	owner, ok := one.Lookup(shared)
	if !ok { // only where no node is active
		return fmt.Errorf("nobody owns %s", shared)
	}
	same := 0
	for range asks {
		for _, r := range []*ring.Ring{one, other} {
			if n, _ := r.Lookup(shared); n.ID == owner.ID {
				same++
			}
		}
	}
	fmt.Fprintf(out, "  two rings that learned of the nodes in another order are asked for %s, %d times each\n", shared, asks)
	fmt.Fprintf(out, "  %d of %d answers: %s\n", same, 2*asks, owner.ID)
	// One number tells whether all keys are placed alike. Sent with a request, it shows the receiver whose view is another.
	fmt.Fprintln(out, "  their fingerprints are equal:", one.View().Fingerprint() == other.View().Fingerprint())
	return nil
}

// detour returns a ring of the cluster that was something else before.
func detour() (*ring.Ring, error) {
	nodes := cluster()
	slices.Reverse(nodes)
	r, err := ring.New(nodes[:2], nil)
	if err != nil {
		return nil, err
	}
	if _, err := r.Add(append(nodes[2:], ring.Node{ID: "node-x", Weight: 3})...); err != nil {
		return nil, err
	}
	_, err = r.Remove("node-x")
	return r, err
}
