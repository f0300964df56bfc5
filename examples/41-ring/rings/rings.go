// Package rings is the scenario of section 4.1, consistent hashing: which node has a key, and which keys move when nodes
// come and go. First with a ring in a map and with hash % n, as one does at first, then with a ring that has an order.
package rings

import (
	"context"
	"fmt"
	"io"

	"github.com/concordkit/concord/ring"
)

// Shows is what the scenario demonstrates, in one line.
const Shows = "a ring in a map has two owners for a key, hash % n moves four keys of five; ours has one and moves one of five"

// Options choose what is written besides.
type Options struct {
	SVG string // the file that a picture of the ring goes to; none if empty
}

// Run plays the scenario and writes what happens to out.
func Run(ctx context.Context, out io.Writer, o Options) error {
	scenes := []struct {
		title string
		play  func(io.Writer) error
	}{
		{"A ring in a map, walked as the map comes", obvious},
		{"A ring that has an order", ordered},
		{"What moves of 100,000 keys, and what goes astray, between nodes that stayed as they were", moved},
		{"What a change tells", told},
		{"Three replicas of a key", replicated},
		{"Ten requests at once for one hot key", hot},
		{"A picture of the ring", o.picture},
	}
	for i, s := range scenes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s:\n", s.title)
		if err := s.play(out); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

// cluster returns the members: an ID that stays with the node, and the zone that it stands in.
func cluster() []ring.Node {
	return []ring.Node{
		{ID: "node-a", Zone: "north"},
		{ID: "node-b", Zone: "south"},
		{ID: "node-c", Zone: "west"},
		{ID: "node-d", Zone: "north"},
		{ID: "node-e", Zone: "south"},
	}
}
