package retrybench

import (
	"context"
	"fmt"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// contest compares calls through ours with calls through a peer.
type contest struct {
	ours, peer library
	failures   int // before each success
	target     ratio.Bound
}

var firstTries = []contest{
	{concord, avast, 0, atMost(1.6)},
	{concordBackground, avast, 0, atMost(1.6)},
	{concord, cenkalti, 0, atMost(0.15)},
	{concord, sethvargo, 0, info},
	{concord, failsafeExecutor, 0, info},
	{concordLoop, hand, 0, atMost(3)},
	{concordValue, cenkalti, 0, info},
	{concordBudget, avastThrottled, 0, info},
}

var threeFailures = []contest{
	{concord, cenkalti, attempts - 1, atMost(0.05)},
	{concord, sethvargo, attempts - 1, atMost(0.05)},
	{concord, avast, attempts - 1, atMost(0.05)},
	{concord, failsafeExecutor, attempts - 1, info},
	{concordLoop, hand, attempts - 1, atMost(3)},
}

func measured(contests []contest, o *ratio.Options) func(context.Context) ([]ratio.Row, error) {
	return func(ctx context.Context) ([]ratio.Row, error) {
		var rows []ratio.Row
		for _, c := range contests {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			row, err := c.measure(ctx, o)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		return rows, nil
	}
}

// measure compares the CPU time of a call.
func (c contest) measure(ctx context.Context, o *ratio.Options) (ratio.Row, error) {
	ours, err := c.through(ctx, c.ours)
	if err != nil {
		return ratio.Row{}, err
	}
	peer, err := c.through(ctx, c.peer)
	if err != nil {
		return ratio.Row{}, err
	}
	row, err := compare(c.goal(), ours, c.peer.name, peer, c.target, o)
	if row.Short() && c.failures > 0 {
		row.Note = "a third of it is " + marked
	}
	return row, err
}

func (c contest) goal() string {
	if c.failures == 0 {
		return c.ours.name + ", first try"
	}
	return fmt.Sprintf("%s, %d failures", c.ours.name, c.failures)
}

// through makes an Op of the contest's work by l.
func (c contest) through(ctx context.Context, l library) (ratio.Op, error) {
	r, err := l.open()
	if err != nil {
		return nil, err
	}
	return func(n int) error {
		w := &work{failures: c.failures}
		r.calls(ctx, n, w)
		if w.succeeded != n || w.failed != 0 {
			return fmt.Errorf("%s: %d of %d calls succeeded", l.name, w.succeeded, n)
		}
		return nil
	}, nil
}
