package breakerbench

import (
	"context"
	"runtime"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// many is the number of keys of a Set that is called.
const many = 1024

// atMost is a goal for a ratio.
func atMost(limit float64) ratio.Bound { return ratio.AtMost(limit, ratio.Times) }

// info is no goal.
var info = ratio.Bound{}

var closed = []contest{
	{concord, rolling, successes, atMost(0.45)},
	{concord, failsafeExecutor, successes, atMost(0.12)},
	{concord, failsafeAlone, successes, info},
	{concordValue, rolling, successes, info},
	{concordAllow, twoStep, successes, info},
	{concordStreak, gobreakerStreak, successes, info},
	{watchful, rolling, successes, info},
	{concordSet(many), concord, successes, info},
	{concord, distributed, successes, info},
}

var failures = []contest{
	{concord, rolling, someFail, atMost(1)},
	{concord, rolling, manyFail, atMost(1)},
	{concord, rolling, nearlyAll, atMost(1)},
	{concord, failsafeExecutor, manyFail, info},
}

var refusals = []contest{
	{concord, rolling, allRefused, atMost(0.7)},
	{concord, failsafeExecutor, allRefused, info},
	{concordAllow, twoStep, allRefused, info},
}

// shared are measured with several goroutines that use one guard.
var shared = []contest{
	{concord, rolling, successes, atMost(0.33)},
	{concord, failsafeExecutor, successes, info},
	{watchful, rolling, successes, info},
	{concord, rolling, manyFail, atMost(1)},
	{concord, rolling, nearlyAll, atMost(1)},
	{concord, rolling, allRefused, atMost(0.7)},
}

// processors is how many run at once, a goroutine on each.
const processors = 2

func serially(contests []contest) func(context.Context) ([]ratio.Row, error) {
	return func(ctx context.Context) ([]ratio.Row, error) { return measure(ctx, contests, 1, brief) }
}

func atOnce(ctx context.Context) ([]ratio.Row, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	return measure(ctx, shared, processors, &ratio.Options{Pairs: 13})
}

func measure(ctx context.Context, contests []contest, goroutines int, o *ratio.Options) ([]ratio.Row, error) {
	var rows []ratio.Row
	for _, c := range contests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := c.measure(ctx, goroutines, o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
