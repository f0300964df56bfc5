// Package ringbench measures ring beside the libraries that Go programs use to place keys on nodes.
//
// All sides run in this process and have the same nodes, of equal weight, and the same keys. Who takes a hash gets xxHash, as
// ours has, and who has points on a circle gets 160 for a node.
package ringbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// sizes are the numbers of nodes that are measured.
var sizes = []int{10, 100, 1000}

const few, some, many = 10, 100, 1000

var (
	slots   = ring.Slots(16)
	limited = slots.MaxLoad(maxLoad)
	vnodes  = ring.VNodes(points)
	ketama  = ring.Ketama()
)

const maxLoad = 1.10

// brief is enough for what one goroutine does alone: its CPU time is accounted at once.
var brief = &ratio.Options{Slice: 20 * time.Millisecond, Pairs: 21}

var scenarios = []ratio.Scenario{
	{Name: "lookup", Run: lookup},
	{Name: "allocations", Run: allocations},
	{Name: "replicas", Run: replicas},
	{Name: "bounded load", Run: bounded},
	{Name: "one change", Run: change},
	{Name: "heap", Run: heap},
	{Name: "lookup while nodes come and go", Run: churn},
	{Name: "balance and movement", Run: spread},
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	rows, err := ratio.Run(ctx, progress, scenarios)
	if err != nil {
		return nil, err
	}
	peers := ratio.Versions("github.com/dgryski/go-jump", "github.com/dgryski/go-rendezvous", "github.com/golang/groupcache",
		"github.com/serialx/hashring", "github.com/cespare/xxhash/v2")
	return &ratio.Table{Rows: rows, Facts: []string{
		"Peers: " + peers + ", and the lookup of github.com/grafana/dskit " + dskitVersion + ", written anew.",
	}}, nil
}

// alone returns the CPU time of an operation that has no peer.
func alone(op ratio.Op) (time.Duration, error) {
	r, err := ratio.Compare(op, op, &ratio.Options{Pairs: 5})
	if err != nil {
		return 0, err
	}
	return r.CPU.Ours(), nil
}

func nanos(d time.Duration) string { return fmt.Sprintf("%d ns", d.Nanoseconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.3g ms", float64(d)/1e6) }
