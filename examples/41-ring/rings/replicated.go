package rings

import (
	"fmt"
	"io"

	"github.com/concordkit/concord/ring"
)

// replicated asks for three nodes of a key. They are in three zones, since there are as many, so a zone that goes dark
// takes one of them. The first one is the owner.
func replicated(out io.Writer) error {
	r, err := ring.New(cluster(), nil)
	if err != nil {
		return err
	}
	for n := range r.Replicas(shared, 3) {
		fmt.Fprintf(out, "  %s is on %s in zone %s\n", shared, n.ID, n.Zone)
	}
	return nil
}
