package rings

import (
	"fmt"
	"io"
	"strings"

	"github.com/concordkit/concord/ring"
)

const requests = 10

// hot asks for one key ten times at once. Lookup sends all to the owner; Acquire counts what is in flight and gives no node
// more than its share times the bound, so that the next in the order of preference take the rest.
func hot(out io.Writer) error {
	r, err := ring.New(cluster(), &ring.Options{Bound: 1.25})
	if err != nil {
		return err
	}
	looked := map[string]int{}
	for range requests {
		id, _ := r.LookupID(shared)
		looked[id]++
		_, release, ok := r.Acquire(shared)
		if !ok {
			return fmt.Errorf("no node for %s", shared)
		}
		defer release() // at the end: all of them are in flight
	}
	report(out, r, "Lookup", func(id string) int { return looked[id] })
	report(out, r, "Acquire", r.InFlight)
	return nil
}

// report lists the nodes that are busy, the preferred ones first.
func report(out io.Writer, r *ring.Ring, how string, load func(id string) int) {
	var busy []string
	for n := range r.Replicas(shared, len(cluster())) {
		if l := load(n.ID); l > 0 {
			busy = append(busy, fmt.Sprintf("%s %d", n.ID, l))
		}
	}
	fmt.Fprintf(out, "  %s: %s; nodes that carry it: %d\n", how, strings.Join(busy, ", "), len(busy))
}
