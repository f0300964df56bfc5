package elections

import (
	"fmt"
	"io"
)

// node takes part in the election that everybody writes first: among those that hear each other the highest ID leads. Do
// not copy it.
type node struct {
	id    int
	now   int         // its own clock, in beats
	heard map[int]int // whom it heard when
}

// dead is for how many beats a node is silent until others take it for dead.
const dead = 3

// leads is the node's own opinion. It asked nobody: there is no majority that agreed, and no term that a ledger could see.
func (n *node) leads() bool {
	for id, at := range n.heard {
		if id > n.id && n.now-at < dead {
			return false
		}
	}
	return true
}

// beat has the nodes hear each other, and nobody else, for some beats. For others no time passes: they are paused.
func beat(times int, nodes ...*node) {
	for range times {
		for _, n := range nodes {
			n.now++
			for _, from := range nodes {
				n.heard[from.id] = n.now
			}
		}
	}
}

func obvious(out io.Writer) {
	one, two, three := &node{1, 0, map[int]int{}}, &node{2, 0, map[int]int{}}, &node{3, 0, map[int]int{}}
	say := func(format string, args ...any) {
		var leaders []int
		for _, n := range []*node{one, two, three} {
			if n.leads() {
				leaders = append(leaders, n.id)
			}
		}
		fmt.Fprintf(out, "  "+format+"; leaders: %v\n", append(args, leaders)...)
	}
	billed := 100
	beat(1, one, two, three)
	say("all hear each other")
	read := billed
	beat(dead, one, two)
	say("3 reads that %d invoices are billed, and is paused; the others take it for dead", read)
	billed += 3
	fmt.Fprintf(out, "  2 bills three and writes %d\n", billed)
	billed = read + 1
	fmt.Fprintf(out, "  3 goes on where it was, knows nothing, and writes %d: 2's work is lost and will be done again\n", billed)
	beat(1, one, two, three)
	say("3 is heard again and leads at once, whatever 2 is in the middle of")
	beat(dead, three)
	beat(dead, one, two)
	say("3 is cut off from the others for as long as it may take")
}
