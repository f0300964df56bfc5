package breakerbench

import (
	"context"
	"fmt"
	"testing"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// allocations counts those of a call.
func allocations(ctx context.Context) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range []contest{
		{concord, rolling, successes, ratio.AtMost(0, "")},
		{concordValue, failsafeExecutor, successes, ratio.AtMost(0, "")},
		{concordAllow, twoStep, successes, ratio.AtMost(0, "")},
		{concordSet(many), distributed, successes, ratio.AtMost(0, "")},
		{watchful, rolling, successes, ratio.AtMost(0, "")},
		{concord, rolling, manyFail, ratio.AtMost(0, "")},
		{concord, rolling, nearlyAll, ratio.AtMost(0, "")},
		{concord, failsafeExecutor, allRefused, ratio.AtMost(0, "")},
		{concordAllow, twoStep, allRefused, ratio.AtMost(0, "")},
	} {
		row, err := c.count(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// count counts the allocations of a call.
func (c contest) count(ctx context.Context) (ratio.Row, error) {
	ours, err := c.load.allocations(ctx, c.ours)
	if err != nil {
		return ratio.Row{}, err
	}
	peer, err := c.load.allocations(ctx, c.peer)
	return ratio.Row{
		Goal:   fmt.Sprintf("allocations of a call, %s, %s", c.ours.name, c.load.name),
		Ours:   fmt.Sprintf("%.3g", ours),
		Peer:   fmt.Sprintf("%s %.3g", c.peer.name, peer),
		Value:  ours,
		Target: c.target,
	}, err
}

// allocations returns those of one call: what twice as many calls make more. One in a thousand shows, and what a loop of calls
// makes once does not.
func (d load) allocations(ctx context.Context, l library) (float64, error) {
	g, err := d.guard(ctx, l)
	if err != nil {
		return 0, err
	}
	const calls = 8 * many
	of := func(n int) float64 { return testing.AllocsPerRun(5, func() { d.run(ctx, g, n) }) }
	return (of(2*calls) - of(calls)) / calls, nil
}
