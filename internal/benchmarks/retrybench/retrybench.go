// Package retrybench measures retry beside the libraries that Go programs retry with.
//
// All sides run in this process, make up to four attempts without a wait between them, and run the same work.
package retrybench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

// attempts is how many every side makes at most, the first included.
const attempts = 4

var (
	// brief is enough for what one goroutine does alone: its CPU time is accounted at once.
	brief = &ratio.Options{Slice: 20 * time.Millisecond, Pairs: 21}
	// whole is for where a peer wakes threads on other cores.
	whole = &ratio.Options{Pairs: 13}
)

var scenarios = []ratio.Scenario{
	{Name: "first tries", Run: measured(firstTries, brief)},
	{Name: "three failures", Run: measured(threeFailures, whole)},
	{Name: "hedges", Run: hedges},
	{Name: "budgets", Run: budgets},
	{Name: "allocations", Run: allocations},
	{Name: "shared budgets", Run: sharedBudgets},
	{Name: "waits that cannot end in time", Run: impossibleWaits},
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	rows, err := ratio.Run(ctx, progress, scenarios)
	if err != nil {
		return nil, err
	}
	peers := ratio.Versions("github.com/cenkalti/backoff/v7", "github.com/avast/retry-go/v5", "github.com/sethvargo/go-retry",
		"github.com/failsafe-go/failsafe-go", "github.com/hashicorp/go-retryablehttp", "github.com/aws/aws-sdk-go-v2")
	return &ratio.Table{Rows: rows, Facts: []string{"Peers: " + peers + "."}}, nil
}

// atMost is a goal for a ratio.
func atMost(limit float64) ratio.Bound { return ratio.AtMost(limit, ratio.Times) }

// none is a goal for what must not be.
var none = ratio.AtMost(0, "")

// info is no goal.
var info = ratio.Bound{}

// compare makes a row of two operations.
func compare(goal string, ours ratio.Op, name string, peer ratio.Op, target ratio.Bound, o *ratio.Options) (ratio.Row, error) {
	r, err := ratio.Compare(ours, peer, o)
	if err != nil {
		return ratio.Row{}, fmt.Errorf("%s: %w", goal, err)
	}
	row := ratio.Row{
		Goal:   goal,
		Ours:   nanos(r.CPU.Ours()),
		Peer:   strings.TrimSpace(name + " " + nanos(r.CPU.Peer())),
		Value:  r.CPU.Ratio(),
		Target: target,
	}
	if target == info {
		row.Note = fmt.Sprintf("%.3g×", row.Value)
	}
	return row, nil
}

func nanos(d time.Duration) string { return fmt.Sprintf("%d ns", d.Nanoseconds()) }
