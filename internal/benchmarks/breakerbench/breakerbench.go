// Package breakerbench measures breaker beside the circuit breakers that Go programs use.
//
// All sides run in this process and open by the same rules: half of the calls of the last 10 s have failed, and there were 20 at
// least. Each counts all calls of that while. A call through any of them runs the same few instructions.
package breakerbench

import (
	"context"
	"fmt"
	"time"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
)

const (
	window   = 10 * time.Second
	steps    = 8 // in which the window moves on
	minCalls = 20
	half     = 0.5
	streak   = 6 // failures in a row, for who looks at nothing else
	openFor  = 24 * time.Hour
)

// brief is enough for what one goroutine does alone: its CPU time is accounted at once.
var brief = &ratio.Options{Slice: 20 * time.Millisecond, Pairs: 21}

var scenarios = []ratio.Scenario{
	{Name: "closed", Run: serially(closed)},
	{Name: "failures", Run: serially(failures)},
	{Name: "refusals", Run: serially(refusals)},
	{Name: "goroutines at once", Run: atOnce},
	{Name: "the clock", Run: readings},
	{Name: "allocations", Run: allocations},
	{Name: "heap", Run: heap},
}

// Measure runs all scenarios, and says to progress which.
func Measure(ctx context.Context, progress func(string)) (*ratio.Table, error) {
	rows, err := ratio.Run(ctx, progress, scenarios)
	if err != nil {
		return nil, err
	}
	peers := ratio.Versions("github.com/sony/gobreaker/v2", "github.com/failsafe-go/failsafe-go")
	return &ratio.Table{Rows: rows, Facts: []string{"Peers: " + peers + "."}}, nil
}

func nanos(d time.Duration) string { return fmt.Sprintf("%d ns", d.Nanoseconds()) }
