package ringbench

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// copies is how many nodes hold a key.
const copies = 3

// replicas compares finding several nodes for a key.
func replicas(context.Context) ([]ratio.Row, error) {
	bound := ratio.AtMost(0.2, ratio.Times)
	var rows []ratio.Row
	for _, c := range []struct {
		place    ring.Placement
		nodes, n int
		target   ratio.Bound
		note     string
	}{
		{slots, few, copies, bound, ""},
		{slots, some, copies, bound, ""},
		{vnodes, some, copies, ratio.Bound{}, ""},
		{slots, some, 5, ratio.Bound{}, "more than the 4 that a view remembers for each slot: all scores are computed"},
	} {
		row, err := compareReplicas(c.place, c.nodes, c.n)
		if err != nil {
			return nil, err
		}
		row.Target, row.Note = c.target, c.note
		if c.target == (ratio.Bound{}) {
			row.Note = times(row.Value, c.note)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// times puts a ratio that has no target before a note.
func times(v float64, note string) string {
	if note != "" {
		note = "; " + note
	}
	return fmt.Sprintf("%.3g×%s", v, note)
}

func compareReplicas(p ring.Placement, nodes, n int) (ratio.Row, error) {
	ids := servers(nodes)
	ours, err := ring.New(nodesOf(ids), &ring.Options{Placement: p})
	if err != nil {
		return ratio.Row{}, err
	}
	r, err := ratio.Compare(appendLoop(ours, n), getLoop(newSerialx(ids, sum64), n), brief)
	if err != nil {
		return ratio.Row{}, err
	}
	return ratio.Row{
		Goal:  fmt.Sprintf("AppendReplicas of %d, %v, %d nodes", n, p, nodes),
		Ours:  nanos(r.CPU.Ours()),
		Peer:  serialx.name + " GetNodes " + nanos(r.CPU.Peer()),
		Value: r.CPU.Ratio(),
	}, nil
}

func appendLoop(r *ring.Ring, replicas int) ratio.Op {
	var dst []ring.Node
	return func(n int) error {
		sum := 0
		for i := range n {
			dst = r.AppendReplicas(dst[:0], key(i), replicas)
			sum += len(dst)
		}
		sink.Add(int64(sum))
		return nil
	}
}

func getLoop(r serialxRing, replicas int) ratio.Op {
	return func(n int) error {
		sum := 0
		for i := range n {
			ids, _ := r.GetNodes(key(i), replicas)
			sum += len(ids)
		}
		sink.Add(int64(sum))
		return nil
	}
}
