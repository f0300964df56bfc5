package ringbench

import (
	"context"
	"fmt"
	"strings"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// spread holds what ours places against its goals. Spreads has the peers too, which would take longer than all else together.
func spread(ctx context.Context) ([]ratio.Row, error) {
	all, err := spreadsOf(ctx, ourLibraries)
	if err != nil {
		return nil, err
	}
	rows := balanceGoals(all)
	for _, n := range sizes {
		row, err := shareGoal(n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return append(rows, movementGoals(all)...), nil
}

func balanceGoals(all []Spread) []ratio.Row {
	var rows []ratio.Row
	for _, c := range []struct {
		nodes  int
		target ratio.Bound
	}{
		{few, ratio.AtMost(1.03, "")},
		{some, ratio.AtMost(1.16, "")},
		{many, ratio.Bound{}},
	} {
		most := find(all, slots, c.nodes).Max
		rows = append(rows, ratio.Row{
			Goal:   fmt.Sprintf("most keys of a node/mean, %v, %d nodes", slots, c.nodes),
			Ours:   fmt.Sprintf("%.3f", most),
			Value:  most,
			Target: c.target,
		})
	}
	return rows
}

func find(all []Spread, p ring.Placement, nodes int) Spread {
	for _, s := range all {
		if s.Name == p.String() && s.Nodes == nodes {
			return s
		}
	}
	return Spread{}
}

// shareGoal looks at exact shares, since a million keys on a thousand nodes deviate more than the limit allows.
func shareGoal(nodes int) (ratio.Row, error) {
	most, err := mostShare(limited, nodes)
	return ratio.Row{
		Goal:   fmt.Sprintf("largest share/mean, %v, %d nodes", limited, nodes),
		Ours:   fmt.Sprintf("%.3f", most),
		Value:  most,
		Target: ratio.AtMost(1.12, ""),
		Note:   "shares of the space of hashes, not of sampled keys",
	}, err
}

// mostShare returns the largest share of a node, 1 being the mean.
func mostShare(p ring.Placement, nodes int) (float64, error) {
	r, err := ring.New(nodesOf(servers(nodes)), &ring.Options{Placement: p})
	if err != nil {
		return 0, err
	}
	v, most := r.View(), 0.0
	for _, n := range v.Nodes() {
		most = max(most, v.Share(n.ID)*float64(nodes))
	}
	return most, nil
}

func movementGoals(all []Spread) []ratio.Row {
	var rows []ratio.Row
	for _, p := range []ring.Placement{slots, vnodes} {
		for _, n := range sizes {
			s := find(all, p, n)
			rows = append(rows, ratio.Row{
				Goal:   fmt.Sprintf("keys moved by a join or a leave/least possible, %v, %d nodes", p, n),
				Ours:   fmt.Sprintf("%.3f", max(excess(s.Join), excess(s.Leave))),
				Value:  max(excess(s.Join), excess(s.Leave)),
				Target: ratio.AtMost(1.15, ""),
				Note:   fmt.Sprintf("join %.3f, leave %.3f", excess(s.Join), excess(s.Leave)),
			})
		}
	}
	for _, c := range []struct {
		place  ring.Placement
		target ratio.Bound
	}{
		{slots, ratio.AtMost(0, "")},
		{vnodes, ratio.AtMost(0, "")},
		{limited, ratio.Bound{}},
		{ketama, ratio.Bound{}},
	} {
		rows = append(rows, astrayGoal(all, c.place, c.target))
	}
	return rows
}

func astrayGoal(all []Spread, p ring.Placement, target ratio.Bound) ratio.Row {
	var worst float64
	var each []string
	for _, n := range sizes {
		a := find(all, p, n).astray()
		worst = max(worst, a)
		each = append(each, percent(a))
	}
	return ratio.Row{
		Goal:   fmt.Sprintf("keys that move between nodes that stay, %v", p),
		Ours:   strings.Join(each, ", "),
		Value:  worst,
		Target: target,
		Note:   "with 10, 100, 1000 nodes, of all keys",
	}
}

func percent(part float64) string {
	if part == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g %%", 100*part)
}
