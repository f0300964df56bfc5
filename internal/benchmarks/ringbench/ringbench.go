// Package ringbench measures ring beside the libraries that Go programs use to place keys on nodes.
//
// All sides run in this process and have the same nodes, of equal weight, and the same keys. Who takes a hash gets xxHash, as
// ours has, and who has points on a circle gets 160 for a node.
package ringbench

import (
	"context"
	"fmt"
	"runtime/debug"
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

// scenario measures some of the rows.
type scenario struct {
	name string
	run  func(context.Context) ([]ratio.Row, error)
}

var scenarios = []scenario{
	{"lookup", lookup},
	{"allocations", allocations},
	{"replicas", replicas},
	{"bounded load", bounded},
	{"one change", change},
	{"heap", heap},
	{"lookup while nodes come and go", churn},
	{"balance and movement", spread},
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	table := &ratio.Table{Facts: []string{peers()}}
	for _, s := range scenarios {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress(s.name)
		rows, err := s.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		table.Rows = append(table.Rows, rows...)
	}
	return table, nil
}

// peers names the versions that were built in.
func peers() string {
	text := "Peers:"
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/dgryski/go-jump", "github.com/dgryski/go-rendezvous", "github.com/golang/groupcache",
			"github.com/serialx/hashring", "github.com/cespare/xxhash/v2":
			text += " " + m.Path + " " + m.Version + ","
		}
	}
	return text + " and the lookup of github.com/grafana/dskit " + dskitVersion + ", written anew."
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
