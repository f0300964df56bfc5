package ringbench

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// rival is a peer with what is asked of ours beside it.
type rival struct {
	call   string
	ours   library
	peer   library
	target ratio.Bound
}

var rivals = []rival{
	{"Lookup", concord(slots), goJump, ratio.AtMost(0.6, ratio.Times)},
	{"LookupID", concordIDs(slots), goJump, ratio.Bound{}},
	{"Lookup", concord(slots), dskit, ratio.AtMost(0.35, ratio.Times)},
	{"Lookup", concord(slots), groupcache, ratio.AtMost(0.2, ratio.Times)},
	{"Lookup", concord(slots), serialx, ratio.AtMost(0.1, ratio.Times)},
	{"Lookup", concord(slots), serialxMD5, ratio.Bound{}},
	{"Lookup", concord(slots), goRendezvous, ratio.Bound{}},
	{"Lookup", concord(vnodes), groupcache, ratio.AtMost(0.35, ratio.Times)},
	{"Lookup", concord(vnodes), dskit, ratio.AtMost(1, ratio.Times)},
}

// lookup compares the CPU time of one lookup.
func lookup(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, v := range rivals {
		for _, n := range sizes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			row, err := v.compare(n)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	flat, err := flat()
	return append(rows, flat), err
}

func (v rival) compare(n int) (ratio.Row, error) {
	r, err := compareLookups(v.ours, n, v.peer, n)
	if err != nil {
		return ratio.Row{}, err
	}
	row := ratio.Row{
		Goal:   fmt.Sprintf("%s, %s, %d nodes", v.call, v.ours.name, n),
		Ours:   nanos(r.CPU.Ours()),
		Peer:   v.peer.name + " " + nanos(r.CPU.Peer()),
		Value:  r.CPU.Ratio(),
		Target: v.target,
	}
	if v.target == (ratio.Bound{}) {
		row.Note = times(row.Value, "")
	}
	return row, nil
}

func compareLookups(ours library, n int, peer library, m int) (*ratio.Result, error) {
	a, err := ours.open(servers(n))
	if err != nil {
		return nil, err
	}
	b, err := peer.open(servers(m))
	if err != nil {
		return nil, err
	}
	return ratio.Compare(loop(a), loop(b), brief)
}

// flat compares ours with itself.
func flat() (ratio.Row, error) {
	ours := concord(slots)
	r, err := compareLookups(ours, many, ours, few)
	if err != nil {
		return ratio.Row{}, err
	}
	return ratio.Row{
		Goal:   fmt.Sprintf("Lookup, %s, %d nodes to %d nodes", ours.name, many, few),
		Ours:   nanos(r.CPU.Ours()),
		Peer:   "ours " + nanos(r.CPU.Peer()),
		Value:  r.CPU.Ratio(),
		Target: ratio.AtMost(1.5, ratio.Times),
	}, nil
}
