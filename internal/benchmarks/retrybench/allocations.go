package retrybench

import (
	"context"
	"fmt"
	"testing"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// marked says why the first retry of a call allocates.
const marked = "the context of the repetition, by which a policy below makes one attempt instead of four"

// allocations counts those of a call.
func allocations(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range []contest{
		{concord, avast, 0, none},
		{concordValue, cenkalti, 0, none},
		{concordLoop, hand, 0, none},
		{concordBudget, avastThrottled, 0, none},
		{concord, cenkalti, attempts - 1, none},
		{concord, sethvargo, attempts - 1, none},
		{concord, avast, attempts - 1, none},
		{concordLoop, hand, attempts - 1, none},
	} {
		row, err := c.count(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, count := range []func(context.Context) (ratio.Row, error){hedgeAllocations, budgetAllocations} {
		row, err := count(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// count counts the allocations of a call.
func (c contest) count(ctx context.Context) (ratio.Row, error) {
	ours, err := c.through(ctx, c.ours)
	if err != nil {
		return ratio.Row{}, err
	}
	peer, err := c.through(ctx, c.peer)
	if err != nil {
		return ratio.Row{}, err
	}
	row := counted(c.goal(), perCall(ours), c.peer.name, perCall(peer), c.target)
	if row.Short() && c.failures > 0 {
		row.Note = marked
	}
	return row, nil
}

func counted(what string, ours float64, name string, peer float64, target ratio.Bound) ratio.Row {
	return ratio.Row{
		Goal:   "allocations of a call, " + what,
		Ours:   fmt.Sprintf("%.3g", ours),
		Peer:   fmt.Sprintf("%s %.3g", name, peer),
		Value:  ours,
		Target: target,
	}
}

// perCall returns the allocations of one call: what twice as many calls make more. One in a hundred shows, and what a loop of
// calls makes once does not.
func perCall(op ratio.Op) float64 {
	const calls = 1000
	of := func(n int) float64 { return testing.AllocsPerRun(5, func() { _ = op(n) }) }
	return (of(2*calls) - of(calls)) / calls
}
