package rings

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// scattered is the ring that everybody writes first: each node by its hash, in a map. Do not copy it.
type scattered map[uint64]string

func (s scattered) owner(key string) string {
	h := hash(key)
	for at, id := range s {
		if at >= h { // the nearest node is meant; this is the one that the map shows first, another one each time
			return id
		}
	}
	return s[0] // the first node is meant; nobody stands at 0
}

func hash(s string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, s) // never fails
	return h.Sum64()
}

const (
	shared = "user:42" // stands before all nodes
	last   = "user:7"  // stands behind them
	// tries is far more than it takes for a map to show another node first.
	tries = 10_000
)

func obvious(out io.Writer) error {
	s := scattered{}
	for _, n := range cluster() {
		s[hash(n.ID)] = n.ID
	}
	owners := map[string]bool{}
	for range tries {
		if owners[s.owner(shared)] = true; len(owners) > 1 {
			break
		}
	}
	if len(owners) < 2 {
		return errors.New("the map was walked in one order all the time")
	}
	fmt.Fprintf(out, "  %s had two owners in one process, while no node came or went\n", shared)
	fmt.Fprintf(out, "  %s is behind the last node; its owner is %q\n", last, s.owner(last))
	return nil
}
