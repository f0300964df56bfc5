package ringbench

import (
	"context"
	"fmt"
	"testing"

	"github.com/concordkit/concord/internal/benchmarks/ratio"
	"github.com/concordkit/concord/ring"
)

// allocations counts those of a call, on the placement that has most.
func allocations(context.Context) ([]ratio.Row, error) {
	var lookups, appends float64
	for _, p := range []ring.Placement{slots, vnodes, ketama, limited} {
		r, err := ring.New(nodesOf(servers(some)), &ring.Options{Placement: p})
		if err != nil {
			return nil, err
		}
		dst := make([]ring.Node, 0, copies)
		lookups = max(lookups, perCall(func(key string) { r.Lookup(key) }))
		appends = max(appends, perCall(func(key string) { r.AppendReplicas(dst, key, copies) }))
	}
	return []ratio.Row{free("Lookup", lookups), free(fmt.Sprintf("AppendReplicas of %d", copies), appends)}, nil
}

// free makes a row for what shall allocate nothing.
func free(what string, n float64) ratio.Row {
	return ratio.Row{
		Goal: "allocations of a call, " + what + ", every placement", Ours: fmt.Sprintf("%.3g", n), Value: n, Target: ratio.AtMost(0, ""),
	}
}

// perCall returns the allocations of one call, after one for every key. It counts many calls together, so that one in a
// thousand shows.
func perCall(f func(key string)) float64 {
	return testing.AllocsPerRun(5, func() {
		for _, key := range keys {
			f(key)
		}
	}) / keyCount
}
